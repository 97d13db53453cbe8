// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import type { Protocol } from "../protocols.ts";
import { faultOfHandshake, handshakeAnswer } from "./handshake.ts";

/** The key and the answer to it are RFC 6455's own, section 1.3. */
const key = "dGhlIHNhbXBsZSBub25jZQ==";
const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

function requestWith(
  headers: Readonly<Record<string, string>> = {},
  method = "GET",
): IncomingMessage {
  const usual = { "sec-websocket-key": key, "sec-websocket-version": "13" };
  return { method, headers: { ...usual, ...headers } } as unknown as IncomingMessage;
}

for (const { what, request, status } of [
  { what: "a good one", request: requestWith(), status: undefined },
  { what: "a POST", request: requestWith({}, "POST"), status: 405 },
  { what: "no key", request: requestWith({ "sec-websocket-key": "" }), status: 400 },
  { what: "a short key", request: requestWith({ "sec-websocket-key": "c2hvcnQ=" }), status: 400 },
  {
    what: "a key with a line of its own",
    request: requestWith({ "sec-websocket-key": `${key}\n` }),
    status: 400,
  },
  { what: "an old version", request: requestWith({ "sec-websocket-version": "8" }), status: 426 },
  { what: "no version", request: requestWith({ "sec-websocket-version": "" }), status: 426 },
]) {
  test(`a WebSocket handshake, ${what}: ${status ?? "taken"}`, () => {
    assert.equal(faultOfHandshake(request)?.status, status);
  });
}

test("who speaks another version of WebSocket is told which one counts, and which methods", () => {
  const version = faultOfHandshake(requestWith({ "sec-websocket-version": "8" }));
  assert.equal(version?.headers?.["Sec-WebSocket-Version"], "13");
  assert.equal(faultOfHandshake(requestWith({}, "POST"))?.headers?.["allow"], "GET");
});

for (const { name, line } of [
  { name: "v5.channel.k8s.io", line: "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n" },
  { name: "", line: "" },
]) {
  test(`the answer to a WebSocket handshake names the protocol "${name}"`, () => {
    assert.equal(
      handshakeAnswer(requestWith(), { name } as Protocol),
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\n${line}\r\n`,
    );
  });
}
