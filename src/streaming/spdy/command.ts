// SPDX-License-Identifier: Apache-2.0

import type { Duplex } from "node:stream";
import { finished } from "node:stream/promises";
import { timeLimit } from "../../base/deadline.ts";
import { untilAborted } from "../../base/waits.ts";
import type { CommandConnection } from "../command-connection.ts";
import type { StreamSelection } from "../ports.ts";
import { ResizeReader } from "../resize.ts";
import { SpdyConnection } from "./connection.ts";
import type { SpdyStream } from "./stream.ts";

export interface SpdyCommandOptions {
  readonly transport: Duplex;
  readonly head: Buffer;
  readonly version: number;
  readonly selection: StreamSelection;
  readonly creationTimeoutMs: number;
  readonly onActivity: () => void;
}

/** A command needs five at most. */
const maxStreams = 16;
/** Streams of an unknown kind, or of one that is there already, before the client is cut off; each is reset. */
const strayLimit = 64;

/**
 * Waits for the streams of one command. Undefined when the client did not open them in time, or left:
 * it is cut off then.
 */
export async function acceptSpdyCommand(
  options: SpdyCommandOptions,
): Promise<SpdyCommandConnection | undefined> {
  const { transport, head, selection, version, onActivity } = options;
  const wanted = wantedStreams(selection, version);
  const streams = new Map<string, SpdyStream>();
  let strays = 0;
  const complete = Promise.withResolvers<true>();
  const connection = new SpdyConnection(transport, {
    head,
    maxStreams,
    onActivity,
    onStream: (stream) => {
      const kind = stream.headers.get("streamtype") ?? "";
      if (!wanted.includes(kind) || streams.has(kind)) {
        stream.destroy();
        strays += 1;
        if (strays > strayLimit) transport.destroy();
        return;
      }
      streams.set(kind, stream);
      if (streams.size === wanted.length) complete.resolve(true);
    },
  });
  using limit = timeLimit(options.creationTimeoutMs, connection.gone);
  const arrived = await untilAborted(complete.promise, limit.signal);
  if (!arrived || connection.gone.aborted) {
    connection.destroy();
    return undefined;
  }
  return new SpdyCommandConnection(connection, version, streams);
}

function wantedStreams(selection: StreamSelection, version: number): string[] {
  const wanted = ["error"];
  if (selection.stdin) wanted.push("stdin");
  if (selection.stdout) wanted.push("stdout");
  if (selection.stderr) wanted.push("stderr");
  if (selection.tty && version >= 3) wanted.push("resize");
  return wanted;
}

class SpdyCommandConnection implements CommandConnection {
  readonly version: number;
  readonly stdin: SpdyStream | undefined;
  readonly stdout: SpdyStream | undefined;
  readonly stderr: SpdyStream | undefined;
  readonly #connection: SpdyConnection;
  readonly #error: SpdyStream | undefined;
  readonly #sizes = new ResizeReader();

  constructor(
    connection: SpdyConnection,
    version: number,
    streams: ReadonlyMap<string, SpdyStream>,
  ) {
    this.version = version;
    this.#connection = connection;
    this.stdin = streams.get("stdin");
    this.stdout = streams.get("stdout");
    this.stderr = streams.get("stderr");
    this.#error = streams.get("error");
    for (const output of [this.stdout, this.stderr, this.#error]) output?.resume();
    streams.get("resize")?.on("data", (bytes: Buffer) => this.#sizes.push(bytes));
  }

  get gone(): AbortSignal {
    return this.#connection.gone;
  }

  ping(): void {
    this.#connection.ping();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  onResize(listener: Parameters<CommandConnection["onResize"]>[0]): void {
    this.#sizes.onResize(listener);
  }

  async finish(status: string): Promise<void> {
    await Promise.all([this.stdout, this.stderr].map((output) => sent(output, "")));
    await sent(this.#error, status);
    await this.#connection.finish();
  }
}

/** Ends a stream and settles when its FIN is on its way, or the stream is gone. */
async function sent(stream: SpdyStream | undefined, text: string): Promise<void> {
  if (stream === undefined || stream.destroyed) return;
  if (text === "") stream.end();
  else stream.end(text);
  await finished(stream, { readable: false }).catch(() => {}); // the client left or reset it
}
