// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { type Protocol, tunnelProtocol } from "../protocols.ts";

/** `ws` gathers a message before it hands it on. Clients send some 32 KiB, a few whole files. */
const largestMessage = 16 * 1024 * 1024;

/** Finishes the handshake of WebSocket clients whose subprotocol is chosen already. */
export class WebSocketAcceptor {
  readonly #chosen = new WeakMap<IncomingMessage, Protocol>();
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // We answer pings ourselves, since `ws` would queue answers without bound.
    autoPong: false,
    maxPayload: largestMessage,
    handleProtocols: (_offered, request) => this.#chosen.get(request)?.name ?? false,
  });

  constructor() {
    this.#server.on("headers", (headers, request) => {
      if (this.#chosen.get(request)?.tunnel === true) {
        headers.push(`Sec-WebSocket-Protocol: ${tunnelProtocol}`);
      }
    });
  }

  /**
   * Calls `onOpen` when the handshake is done, in the same turn, since messages may be there already.
   * A client with a faulty handshake is told so and cut off.
   */
  accept(
    request: IncomingMessage,
    transport: Duplex,
    head: Buffer,
    protocol: Protocol,
    onOpen: (socket: WebSocket) => void,
  ): void {
    this.#chosen.set(request, protocol);
    if (protocol.tunnel) delete request.headers["sec-websocket-protocol"];
    this.#server.handleUpgrade(request, transport, head, onOpen);
  }
}
