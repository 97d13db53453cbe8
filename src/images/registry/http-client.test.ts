// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import http from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { readBody } from "./http-answer.ts";
import { HttpClient } from "./http-client.ts";

const body = Buffer.alloc(4 << 20, "layer ");

const clientOf = (base: string): Promise<HttpClient> =>
  HttpClient.create(
    {
      base,
      canResolve: true,
      canPull: true,
      canPush: true,
      headers: {},
      tls: { skipVerify: false, ca: [], client: [] },
      connectTimeoutMs: 10_000,
      isMirror: false,
      isOrigin: true,
    },
    { proxies: () => undefined, authorities: () => Promise.reject(new Error("no TLS")) },
  );

/** A server that hands the first bytes of each connection on, and closes with the test. */
async function servingOn(
  hear: (bytes: Buffer, socket: Socket) => void,
): Promise<Disposable & { readonly base: string }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (bytes: Buffer) => hear(bytes, socket));
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2`,
    [Symbol.dispose]: () => void server.close(),
  };
}

test("of an answer's body nothing stays but what its reader has, also over a connection that is used again", async () => {
  const server = http.createServer((_request, answer) => answer.end(body)).listen(0, "127.0.0.1");
  const fromSocket: Buffer[] = [];
  let sockets = 0;
  const watch = (message: unknown): void => {
    sockets += 1;
    const { socket } = message as { socket: Socket };
    socket.on("data", (piece: Buffer) => fromSocket.push(piece));
  };
  subscribe("net.client.socket", watch);
  try {
    await new Promise((resolve) => server.once("listening", resolve));
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2`;
    using client = await clientOf(base);
    for (let requests = 0; requests < 3; requests += 1) {
      const { signal } = new AbortController();
      const request = { method: "GET", headers: {}, answerMs: 10_000, redirects: "none" } as const;
      const answer = await client.request(new URL(base), { ...request, signal });
      const pieces: Buffer[] = [];
      for await (const piece of answer.body) pieces.push(piece as Buffer);
      assert.ok(Buffer.concat(pieces).equals(body));
    }
  } finally {
    unsubscribe("net.client.socket", watch);
    server.closeAllConnections();
    server.close();
  }
  assert.equal(sockets, 1);
  // A piece shorter than its memory is one that the socket cut: it is left alone.
  const left = fromSocket.filter(({ buffer, byteLength }) => byteLength === buffer.byteLength);
  assert.ok(fromSocket.length > 10);
  assert.equal(
    left.reduce((sum, { byteLength }) => sum + byteLength, 0),
    0,
  );
});

const odd = "HTTP/1.1 200 OK\ncontent-length: 2\n\nok";
const long = `HTTP/1.1 200 OK\r\nx: ${"x".repeat(1 << 20)}\r\ncontent-length: 0\r\n\r\n`;
const asked = [
  { what: "GET, oddly answered", method: "GET", answer: odd, is: ["GET", "GET"], says: "200" },
  { what: "HEAD, oddly answered", method: "HEAD", answer: odd, is: ["HEAD", "HEAD"], says: "200" },
  {
    what: "POST, oddly answered",
    method: "POST",
    answer: odd,
    is: ["POST"],
    says: "no proper HTTP",
  },
  { what: "PUT, oddly answered", method: "PUT", answer: odd, is: ["PUT"], says: "no proper HTTP" },
  { what: "GET with headers too long", method: "GET", answer: long, is: ["GET"], says: "OVERFLOW" },
] as const;

const lengths: readonly (readonly [what: string, headers: string, body: string, says: string])[] = [
  ["twice", "Content-Length: 2\r\ncontent-length:2 \r\n", "ok", "200 ok"],
  [
    "three times, among others",
    "content-length: 2\r\nx: y\r\ncontent-length: 2\r\na: b\r\ncontent-length: 2\r\n",
    "ok",
    "200 ok",
  ],
  [
    "and another",
    "content-length: 2\r\ncontent-length: 5\r\n",
    "okxyz",
    "HPE_UNEXPECTED_CONTENT_LENGTH",
  ],
  [
    "and another first",
    "content-length: 5\r\ncontent-length: 2\r\n",
    "okxyz",
    "HPE_UNEXPECTED_CONTENT_LENGTH",
  ],
  ["in a list", "content-length: 2, 2\r\n", "ok", "HPE_INVALID_CONTENT_LENGTH"],
  [
    "twice, and longer than the body",
    "content-length: 5\r\ncontent-length: 5\r\n",
    "ok",
    "broke the connection",
  ],
];
for (const [what, headers, content, says] of lengths) {
  test(`an answer with a length ${what}`, async () => {
    using server = await servingOn((_request, socket) => {
      const bytes = Buffer.from(`HTTP/1.1 200 OK\r\n${headers}\r\n${content}`);
      socket.write(bytes.subarray(0, 20));
      setImmediate(() => socket.end(bytes.subarray(20)));
    });
    using client = await clientOf(server.base);
    const { signal } = new AbortController();
    const request = {
      method: "GET",
      headers: {},
      answerMs: 10_000,
      redirects: "none",
      signal,
    } as const;
    const said = await client
      .request(new URL(server.base), request)
      .then(
        async (got) => `${got.status} ${String(await readBody(got, { maxBytes: 100, signal }))}`,
      )
      .catch(({ message }: Error) => message);
    assert.ok(said.includes(says), said);
  });
}

for (const { what, method, answer, is, says } of asked) {
  test(`a ${what}, is sent ${is.length === 1 ? "once" : "twice"}`, async () => {
    const heard: string[] = [];
    using server = await servingOn((bytes, socket) => {
      heard.push(bytes.toString().split(" ")[0] ?? "");
      socket.end(answer);
    });
    using client = await clientOf(server.base);
    const { signal } = new AbortController();
    const sent = method === "POST" || method === "PUT" ? { body: Buffer.from("{}") } : {};
    const request = { method, headers: {}, answerMs: 10_000, redirects: "none", signal } as const;
    const said = await client.request(new URL(server.base), { ...request, ...sent }).then(
      async (got) => {
        await got.discard();
        return String(got.status);
      },
      ({ message }: Error) => message,
    );
    assert.ok(said.includes(says), said);
    assert.deepEqual(heard, is);
  });
}
