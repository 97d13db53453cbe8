// SPDX-License-Identifier: Apache-2.0
import { finished } from "node:stream/promises";
import type { CommandConnection } from "../command-connection.ts";
import type { StreamSelection } from "../ports.ts";
import { ResizeReader } from "../resize.ts";
import type { Channel } from "./channel.ts";
import type { ChannelSocket } from "./channel-socket.ts";

const numbers = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;

/** Exec and attach over WebSocket: the channels are there as soon as the connection is. */
export class WebSocketCommandConnection implements CommandConnection {
  readonly version: number;
  readonly stdin: Channel | undefined;
  readonly stdout: Channel | undefined;
  readonly stderr: Channel | undefined;
  readonly #socket: ChannelSocket;
  readonly #sizes = new ResizeReader();

  constructor(socket: ChannelSocket, version: number, selection: StreamSelection) {
    this.#socket = socket;
    this.version = version;
    this.stdin = selection.stdin ? socket.channel(numbers.stdin) : undefined;
    this.stdout = selection.stdout ? socket.channel(numbers.stdout) : undefined;
    this.stderr = selection.stderr ? socket.channel(numbers.stderr) : undefined;
    this.stdout?.resume();
    this.stderr?.resume();
    if (selection.tty) {
      socket.channel(numbers.resize).on("data", (bytes: Buffer) => this.#sizes.push(bytes));
    }
    // The client waits for this: it shows that the connection stands.
    const lowest = selection.stdout ? "stdout" : selection.stderr ? "stderr" : "error";
    socket.send(numbers[lowest], Buffer.alloc(0));
  }

  get gone(): AbortSignal {
    return this.#socket.gone;
  }

  ping(): void {
    this.#socket.ping();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  onResize(listener: Parameters<CommandConnection["onResize"]>[0]): void {
    this.#sizes.onResize(listener);
  }

  async finish(status: string): Promise<void> {
    await Promise.all([this.stdout, this.stderr].map(sent));
    if (status !== "") this.#socket.send(numbers.error, Buffer.from(status));
    await this.#socket.finish();
  }
}

/** Settles when everything that was written is on its way, or the client is gone. */
async function sent(channel: Channel | undefined): Promise<void> {
  if (channel === undefined || channel.destroyed) return;
  channel.end();
  await finished(channel, { readable: false }).catch(() => {});
}
