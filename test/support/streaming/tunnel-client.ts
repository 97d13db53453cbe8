// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import type { Duplex } from "node:stream";
import { createWebSocketStream, WebSocket } from "ws";
import { SpdyClient } from "./spdy-client.ts";

const protocol = "SPDY/3.1+portforward.k8s.io";

/** Port-forward as newer kubectls do it: SPDY in the messages of a WebSocket. */
export async function tunnelSpdy(
  url: string,
): Promise<{ readonly client: SpdyClient; readonly socket: WebSocket }> {
  const key = randomBytes(16).toString("base64");
  // ws takes no subprotocol with a slash, so the handshake is made here and it takes over behind it.
  const request = http.get(url, {
    agent: false,
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": key,
      "sec-websocket-protocol": protocol,
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<WebSocket>();
  request.once("error", reject);
  request.once("response", ({ statusCode }) => reject(new Error(`status ${statusCode}`)));
  request.once("upgrade", ({ headers }, transport, head) => {
    const accept = createHash("sha1")
      .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    if (headers["sec-websocket-accept"] !== accept) reject(new Error("wrong accept"));
    if (headers["sec-websocket-protocol"] !== protocol) reject(new Error("wrong protocol"));
    resolve(takeOver(transport, head));
  });
  const socket = await promise;
  const stream = createWebSocketStream(socket);
  stream.on("error", () => {});
  return { client: new SpdyClient(stream, Buffer.alloc(0)), socket };
}

/** `ws` has no public way to start behind a handshake; this is what its own client does. */
function takeOver(transport: Duplex, head: Buffer): WebSocket {
  type Bare = new (address: null, protocols: undefined, options: object) => WebSocket;
  const socket = new (WebSocket as unknown as Bare)(null, undefined, { autoPong: true });
  const internal = socket as unknown as {
    _isServer: boolean;
    setSocket(transport: Duplex, head: Buffer, options: object): void;
  };
  internal._isServer = false;
  internal.setSocket(transport, head, { maxPayload: 0, allowSynchronousEvents: true });
  return socket;
}
