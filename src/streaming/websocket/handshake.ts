// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Protocol } from "../protocols.ts";
import type { Refusal } from "../refusal.ts";

/** RFC 6455, section 4.2.2. */
const magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** What is wrong with a client's handshake; undefined when nothing is. */
export function faultOfHandshake(request: IncomingMessage): Refusal | undefined {
  if (request.method !== "GET") {
    return { status: 405, message: "method not allowed", headers: { allow: "GET" } };
  }
  if (!/^[+/0-9A-Za-z]{22}==$/.test(keyOf(request))) {
    return { status: 400, message: "unable to upgrade: Sec-WebSocket-Key is missing or wrong" };
  }
  const version = request.headers["sec-websocket-version"];
  if (version !== "13") {
    return {
      status: 426,
      message: "unable to upgrade: want Sec-WebSocket-Version 13",
      headers: { "Sec-WebSocket-Version": "13", upgrade: "websocket" },
    };
  }
  return undefined;
}

/** The answer to a good handshake. No extension is agreed on. */
export function handshakeAnswer(request: IncomingMessage, { name }: Protocol): string {
  const accept = createHash("sha1")
    .update(`${keyOf(request)}${magic}`)
    .digest("base64");
  return [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${accept}`,
    ...(name === "" ? [] : [`Sec-WebSocket-Protocol: ${name}`]),
    "\r\n",
  ].join("\r\n");
}

function keyOf(request: IncomingMessage): string {
  return request.headers["sec-websocket-key"] ?? "";
}
