// SPDX-License-Identifier: Apache-2.0
import { connect, type Socket } from "node:net";
import type { Cancellable } from "../../base/cancellable.ts";
import { connectionEnd } from "../../base/connection-end.ts";
import { fault, type RuntimeFault, toFault } from "../../base/errors.ts";
import { onAbort } from "../../base/on-abort.ts";
import { DbusFrames } from "./dbus-frames.ts";
import { type DbusCall, type DbusMessage, encodeCall, messageType } from "./dbus-message.ts";

/** What a peer says before messages begin is a line; longer ones are none. */
const maxLineBytes = 4096;

/** Where a peer listens, and whether it is a bus, which wants to be greeted, or systemd itself. */
export interface BusPlace {
  readonly path: string;
  readonly isBus: boolean;
}

/** What a call came to: values, or the error that the peer answered with. */
export interface BusAnswer {
  readonly values: DbusMessage["body"];
  readonly error: { readonly name: string; readonly text: string } | undefined;
}

/** A connection to a D-Bus peer: calls in any number, and signals. Its end fails all calls with UNAVAILABLE. */
export class BusConnection implements Disposable {
  /** Settles, never rejects, when the connection is gone. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #frames = new DbusFrames();
  readonly #calls = new Map<number, (answer: BusAnswer | RuntimeFault) => void>();
  readonly #onSignal: (signal: DbusMessage) => void;
  #serial = 0;
  #failure: RuntimeFault | undefined;

  private constructor(socket: Socket, onSignal: (signal: DbusMessage) => void) {
    this.#socket = socket;
    this.#onSignal = onSignal;
    socket.unref();
    this.closed = connectionEnd(socket, (cause) => this.#fail("connection is closed", cause));
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
  }

  /**
   * Connects as the user that this process is. UNAVAILABLE when nobody listens or the peer does not want us, else the
   * signal's reason.
   */
  static async open(
    place: BusPlace,
    onSignal: (signal: DbusMessage) => void,
    call: Cancellable,
  ): Promise<BusConnection> {
    call.signal.throwIfAborted();
    const socket = connect({ path: place.path });
    try {
      await loggedIn(socket, call);
    } catch (cause) {
      socket.destroy();
      if (call.signal.aborted) throw toFault(call.signal.reason);
      const why = toFault(cause).message;
      throw fault("UNAVAILABLE", `cannot connect to "${place.path}": ${why}`, { cause });
    }
    return new BusConnection(socket, onSignal);
  }

  get isClosed(): boolean {
    return this.#failure !== undefined;
  }

  /** Asks the peer. An error that it answers with is an answer; UNAVAILABLE, or the signal's reason, when none comes. */
  async call(request: DbusCall, { signal }: Cancellable): Promise<BusAnswer> {
    if (this.#failure !== undefined) throw this.#failure;
    if (signal.aborted) throw toFault(signal.reason);
    this.#serial += 1;
    const serial = this.#serial;
    const { promise, resolve, reject } = Promise.withResolvers<BusAnswer>();
    this.#calls.set(serial, (answer) => {
      if (answer instanceof Error) reject(answer);
      else resolve(answer);
    });
    using _reaction = onAbort(signal, (reason) => {
      this.#calls.delete(serial);
      reject(toFault(reason));
    });
    this.#socket.write(encodeCall(serial, request));
    return await promise;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    try {
      this.#frames.push(chunk, (message) => this.#take(message));
    } catch (error) {
      this.#fail("peer does not speak D-Bus", error);
      this.#socket.destroy();
    }
  }

  #take(message: DbusMessage): void {
    const { type, replySerial, body, errorName } = message;
    if (type === messageType.signal) return this.#onSignal(message);
    if (type !== messageType.answer && type !== messageType.error) return;
    const settle = this.#calls.get(replySerial);
    this.#calls.delete(replySerial);
    const [text] = body;
    settle?.({
      values: body,
      error:
        type === messageType.error
          ? { name: errorName, text: typeof text === "string" ? text.slice(0, 1000) : "" }
          : undefined,
    });
  }

  #fail(why: string, cause: unknown): void {
    this.#failure ??= fault("UNAVAILABLE", `D-Bus ${why}`, { cause });
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const settle of calls) settle(this.#failure);
  }
}

/** The handshake before messages: who we are is what the kernel says, and the peer has to agree. */
async function loggedIn(socket: Socket, { signal }: Cancellable): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  using _reaction = onAbort(signal, reject);
  let said = "";
  const onData = (chunk: Buffer): void => {
    said += chunk.toString("latin1", 0, maxLineBytes);
    if (said.includes("\r\n") || said.length > maxLineBytes) resolve();
  };
  const onEnd = (): void => reject(fault("UNAVAILABLE", "the peer hung up"));
  socket.on("error", reject).on("end", onEnd).on("data", onData);
  using _listeners = {
    [Symbol.dispose]: () => socket.off("error", reject).off("end", onEnd).off("data", onData),
  };
  const user = Buffer.from(String(process.getuid?.() ?? 0)).toString("hex");
  socket.write(`\0AUTH EXTERNAL ${user}\r\n`);
  await promise;
  if (!/^OK [^\r\n]*\r\n$/.test(said)) throw fault("UNAVAILABLE", `the peer says ${line(said)}`);
  socket.write("BEGIN\r\n");
}

function line(said: string): string {
  return JSON.stringify(said.slice(0, 100).split("\r\n")[0]);
}
