// SPDX-License-Identifier: Apache-2.0
import { createServer, type Socket } from "node:net";
import path from "node:path";
import {
  type DbusMessage,
  encodeMessage,
  field,
  messageBytes,
  messageType,
  parseMessage,
} from "../../src/runtime/systemd/dbus-message.ts";
import { objectPath, string, uint32 } from "../../src/runtime/systemd/dbus-values.ts";
import { scratch } from "./scratch.ts";

/**
 * By method, what follows on a call: "answer" names a job (or systemd), a job's result ends it ("JobRemoved" is
 * "done"), "forged" is its end as another than systemd tells it, "hang up", and "NAME: TEXT" is an error.
 * `again` is for the second StartTransientUnit, `greet` what is said in place of the greeting.
 */
export type BusScript = Readonly<Record<string, readonly string[]>> | { readonly greet: string };

export interface Asked extends DbusMessage {
  readonly serial: number;
  readonly bytes: Buffer;
}

export interface ScriptedBus extends AsyncDisposable {
  readonly path: string;
  readonly asked: readonly Asked[];
  connections(): number;
  /** Whether a job was done. */
  isDone(): boolean;
  hangUp(): void;
}

const systemd = ":1.7";

/** A bus with systemd on it that does as it is told. */
export async function scriptedBus(script: BusScript): Promise<ScriptedBus> {
  const home = await scratch({ prefix: "bus" });
  const place = path.join(home.path, "bus");
  const asked: Asked[] = [];
  const sockets = new Set<Socket>();
  let [connections, isDone, starts] = [0, false, 0];
  const say = (socket: Socket, message: Asked): void => {
    asked.push(message);
    const serial = asked.length;
    const { member, body } = message;
    const unit = String(body[0]);
    const job = `/job/${serial}`;
    const answer = (
      type: number,
      fields: Parameters<typeof encodeMessage>[2],
      text: string,
    ): void => {
      const reply = [field.replySerial, uint32(message.serial)] as const;
      const value = member === "StartTransientUnit" || member === "StopUnit" ? objectPath : string;
      const values = [type === messageType.error ? string(text) : value(text)];
      socket.write(encodeMessage(type, serial, [reply, ...fields], values));
    };
    if (member === "StartTransientUnit") starts += 1;
    const name =
      member === "StartTransientUnit" && starts > 1 && "again" in script ? "again" : member;
    const steps = name in script ? (script as Record<string, readonly string[]>)[name] : ["answer"];
    for (const step of steps ?? []) {
      const [, error = "", text = ""] = /^([\w.]+): (.*)$/.exec(step) ?? [];
      if (error !== "") answer(messageType.error, [[field.errorName, string(error)]], text);
      else if (step === "answer")
        answer(messageType.answer, [], member === "GetNameOwner" ? systemd : job);
      else if (step === "hang up") socket.destroy();
      else {
        const isTrue = step === "JobRemoved";
        isDone ||= isTrue;
        const fields = [
          [field.path, objectPath("/org/freedesktop/systemd1")],
          [field.interface, string("org.freedesktop.systemd1.Manager")],
          [field.member, string("JobRemoved")],
          [field.sender, string(step === "forged" ? ":1.9" : systemd)],
        ] as const;
        const values = [
          uint32(serial),
          objectPath(job),
          string(unit),
          string(isTrue ? "done" : step),
        ];
        socket.write(encodeMessage(messageType.signal, serial, fields, values));
      }
    }
  };
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    let rest = Buffer.alloc(0);
    let isGreeted = false;
    socket.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      if (!isGreeted && rest.includes("\r\n")) {
        isGreeted = true;
        rest = rest.subarray(rest.indexOf("\r\n") + 2);
        socket.write("greet" in script ? String(script["greet"]) : "OK 0123\r\n");
      }
      if (rest.subarray(0, 7).toString() === "BEGIN\r\n") rest = rest.subarray(7);
      if (!isGreeted) return;
      while (rest.byteLength >= 16 && rest.byteLength >= messageBytes(rest)) {
        const bytes = rest.subarray(0, messageBytes(rest));
        rest = rest.subarray(bytes.byteLength);
        say(socket, { ...parseMessage(bytes), bytes, serial: bytes.readUInt32LE(8) });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(place, resolve));
  return {
    path: place,
    asked,
    connections: () => connections,
    isDone: () => isDone,
    hangUp: () => {
      for (const socket of sockets) socket.destroy();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await home[Symbol.asyncDispose]();
    },
  };
}
