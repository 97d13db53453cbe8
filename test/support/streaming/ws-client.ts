// SPDX-License-Identifier: Apache-2.0
import { WebSocket } from "ws";

export interface ChannelMessage {
  readonly channel: number;
  readonly text: string;
}

/** A client of the `channel.k8s.io` protocols, on a WebSocket library that is not ours. */
export class WsClient {
  readonly socket: WebSocket;
  readonly messages: ChannelMessage[] = [];
  readonly closeCode: Promise<number>;
  readonly #base64: boolean;

  /** "" names no protocol. Rejects when the server refuses, with its status in the message. */
  static async connect(url: string, protocol: string, ca?: string | Buffer): Promise<WsClient> {
    const socket = new WebSocket(url, protocol === "" ? [] : [protocol], {
      perMessageDeflate: false,
      ...(ca === undefined ? {} : { ca }),
    });
    const client = new WsClient(socket, protocol.includes("base64"));
    await new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    return client;
  }

  private constructor(socket: WebSocket, base64: boolean) {
    this.socket = socket;
    this.#base64 = base64;
    this.closeCode = new Promise((resolve) => {
      socket.once("close", resolve);
    });
    socket.on("message", (data: Buffer, isBinary) => {
      if (isBinary === base64) throw new Error("message of the wrong kind");
      const channel = base64 ? (data[0] ?? 0) - 0x30 : (data[0] ?? 255);
      const rest = data.subarray(1);
      const bytes = base64 ? Buffer.from(rest.toString("latin1"), "base64") : rest;
      this.messages.push({ channel, text: bytes.toString("latin1") });
    });
  }

  get protocol(): string {
    return this.socket.protocol;
  }

  send(channel: number, bytes: Buffer): void {
    if (this.#base64) this.socket.send(`${channel}${bytes.toString("base64")}`);
    else this.socket.send(Buffer.concat([Buffer.from([channel]), bytes]));
  }

  textOf(channel: number): string {
    return this.messages
      .filter((message) => message.channel === channel)
      .map(({ text }) => text)
      .join("");
  }
}
