// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import { type WebSocket, WebSocketServer } from "ws";
import { RemoteCommand } from "./remote-command.ts";

const success = Buffer.from(`\x03${JSON.stringify({ status: "Success" })}`);
const { signal } = new AbortController();

/** The URL of a server that does this with each client. */
async function serve(t: TestContext, act: (client: WebSocket) => void): Promise<string> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  server.on("connection", act);
  t.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

function swallow(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}

test("two outputs that are slower than the command wait with one listener each", async (t) => {
  const rounds = 200;
  const url = await serve(t, (client) => {
    for (let round = 0; round < rounds; round += 1) {
      for (const channel of [1, 2]) client.send(Buffer.from([channel, round, round]));
    }
    client.send(success, () => client.close(1000));
  });
  let most = 0;
  const slow = (): Writable & { readonly got: number[] } => {
    const got: number[] = [];
    const output = new Writable({
      highWaterMark: 1,
      write: (chunk: Buffer, _encoding, done) => {
        got.push(...chunk);
        most = Math.max(most, output.listenerCount("drain"));
        setImmediate(done);
      },
    });
    return Object.assign(output, { got });
  };
  const [stdout, stderr] = [slow(), slow()];
  const command = new RemoteCommand({ url, streams: { stdout, stderr }, tls: {}, signal });
  assert.equal(await command.run(), 0);
  for (const output of [stdout, stderr]) {
    output.end();
    if (!output.writableFinished) await once(output, "finish");
    const sent = Array.from({ length: rounds }, (_, round) => [round, round]).flat();
    assert.deepEqual(output.got, sent);
  }
  assert.equal(most, 1);
});

const silent = { code: "DEADLINE_EXCEEDED", message: /the streaming server is silent/ };

test("a server that falls silent is left, with a word", { timeout: 20_000 }, async (t) => {
  const url = await serve(t, (client) => client.send(Buffer.from([1])));
  const streams = { stdin: new PassThrough(), stdout: swallow(), stderr: swallow() };
  const command = new RemoteCommand({ url, streams, tls: {}, signal, silenceMs: 50 });
  await assert.rejects(command.run(), silent);
});

test("a server that never greets is left, with a word", { timeout: 20_000 }, async (t) => {
  const clients: Socket[] = [];
  const server = createServer((client) => void clients.push(client.on("error", () => {})));
  t.after(() => {
    for (const client of clients) client.destroy();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const streams = { stdout: swallow(), stderr: swallow() };
  const command = new RemoteCommand({ url, streams, tls: {}, signal, silenceMs: 50 });
  await assert.rejects(command.run(), silent);
});

test("a command that is given up before it is run leaves no connection", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const met = once(server, "connection") as Promise<[Socket]>;
  const streams = { stdout: swallow(), stderr: swallow() };
  const stop = new AbortController();
  const command = new RemoteCommand({ url, streams, tls: {}, signal: stop.signal });
  const [socket] = await met;
  stop.abort(new Error("given up"));
  const ended = once(socket.on("error", () => {}).resume(), "close");
  await assert.rejects(command.run(), /given up/);
  await ended;
});
