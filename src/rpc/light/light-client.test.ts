// SPDX-License-Identifier: Apache-2.0
// What ../transport.test.ts does not hold of the light client: how it leaves, and peers that are no gRPC servers.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { isFault } from "../../base/errors.ts";
import { frame } from "../http2/frames.ts";
import { connectLight } from "./light-client.ts";

const service = "containerd.services.version.v1.Version";
let count = 0;

/** A server that does this with each connection. */
async function serve(t: TestContext, act: (socket: net.Socket) => void) {
  count += 1;
  const file = path.join(os.tmpdir(), `berth-light-${process.pid}-${count}.sock`);
  const met: net.Socket[] = [];
  const server = net.createServer((socket) => {
    met.push(socket.on("error", () => {}));
    act(socket);
  });
  server.listen(file);
  await once(server, "listening");
  t.after(() => {
    for (const socket of met) socket.destroy();
    server.close();
  });
  return { file, met };
}

test("what is called after the connection was closed fails, and connects to nobody", async (t) => {
  const { file, met } = await serve(t, (socket) => socket.resume());
  const connection = connectLight(file);
  const client = connection.client(service);
  const waiting = client.Version({});
  while (met.length === 0) await new Promise((resolve) => setImmediate(resolve));
  connection[Symbol.dispose]();
  await assert.rejects(waiting, (error) => isFault(error, "UNAVAILABLE"));
  await assert.rejects(client.Version({}), (error) => isFault(error, "UNAVAILABLE"));
  assert.equal(met.length, 1);
});

/** The frames of an answer without any field, and its status. */
function answerTo(stream: number): Buffer {
  const field = (text: string): number[] => [text.length, ...Buffer.from(text)];
  const status = Buffer.of(0, ...field("grpc-status"), ...field("0"));
  return Buffer.concat([
    frame(1, 4, stream, Buffer.of(0x88)),
    frame(0, 0, stream, Buffer.alloc(5)),
    frame(1, 5, stream, status),
  ]);
}

/** A server goes away after the streams up to this one. */
function goAway(last: number): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeUInt32BE(last);
  return frame(7, 0, 0, payload);
}

test("a peer that goes away answers what it has begun, while others call anew", async (t) => {
  const { file, met } = await serve(t, (socket) => socket.resume());
  using connection = connectLight(file);
  const client = connection.client(service);
  const [begun, late] = [client.Version({}), client.Version({})];
  const lateEnd = assert.rejects(late, (error) => isFault(error, "UNAVAILABLE"));
  while (met.length === 0) await new Promise((resolve) => setImmediate(resolve));
  met[0]?.write(goAway(1));
  await lateEnd;
  const anew = client.Version({});
  while (met.length === 1) await new Promise((resolve) => setImmediate(resolve));
  met[1]?.write(answerTo(1));
  await anew;
  const gone = once(met[0]!, "close");
  met[0]?.write(answerTo(1));
  assert.deepEqual(await begun, await anew);
  await gone; // nothing holds a connection that has answered all
});

test("a peer that goes away before it has begun anything is left at once", async (t) => {
  const { file, met } = await serve(t, (socket) =>
    socket.once("data", () => socket.write(goAway(0))),
  );
  using connection = connectLight(file);
  const client = connection.client(service);
  await assert.rejects(client.Version({}), (error) => isFault(error, "UNAVAILABLE"));
  await once(met[0]!, "close");
});

test("what a connection that goes away has begun ends with the client", async (t) => {
  const { file, met } = await serve(t, (socket) => socket.resume());
  const connection = connectLight(file);
  const client = connection.client(service);
  const calling = client.Version({});
  const ended = assert.rejects(calling, (error) => isFault(error, "UNAVAILABLE"));
  while (met.length === 0) await new Promise((resolve) => setImmediate(resolve));
  met[0]?.write(Buffer.concat([goAway(2 ** 31 - 1), goAway(1)]));
  const second = client.Version({});
  const secondEnded = assert.rejects(second, (error) => isFault(error, "UNAVAILABLE"));
  connection[Symbol.dispose]();
  await Promise.all([ended, secondEnded]);
});

const headers = (...bytes: number[]): Buffer => frame(1, 4, 1, Buffer.from(bytes));
const bad: Readonly<Record<string, Buffer>> = {
  "speaks HTTP/1": Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"),
  "sends a frame that is too large": Buffer.from([255, 255, 255, 0, 0, 0, 0, 0, 1]),
  "names a header that there is not": headers(0xff, 0x20),
  "breaks headers off": Buffer.concat([frame(1, 0, 1, Buffer.of(0x88)), frame(0, 0, 1)]),
  "goes on with headers that never began": frame(9, 4, 1, Buffer.of(0x88)),
  "pads more than there is": frame(0, 8, 1, Buffer.of(200, 1)),
  "answers without a status": Buffer.concat([headers(0x88), frame(0, 1, 1)]),
  "answers in pieces of a message": Buffer.concat([headers(0x88), frame(0, 1, 1, Buffer.of(0, 0))]),
  "sends a message that is too large": Buffer.concat([
    headers(0x88),
    frame(0, 0, 1, Buffer.of(0, 255, 0, 0, 0)),
  ]),
  "resets the call": frame(3, 0, 1, Buffer.of(0, 0, 0, 2)),
  "goes away": frame(7, 0, 0, Buffer.alloc(8)),
  "pads the end more than there is": frame(0, 9, 1, Buffer.of(200, 1)),
  "cuts its numbers short": frame(3, 0, 1, Buffer.of(1)),
};

for (const [what, bytes] of Object.entries(bad)) {
  test(`a peer that ${what} is a fault`, async (t) => {
    const { file } = await serve(t, (socket) => socket.once("data", () => socket.write(bytes)));
    using connection = connectLight(file);
    const calling = connection.client(service).Version({});
    await assert.rejects(calling, (error) => isFault(error) && error.code !== "CANCELLED");
  });
}
