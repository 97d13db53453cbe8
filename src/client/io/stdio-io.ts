// SPDX-License-Identifier: Apache-2.0
import type { Readable, Writable } from "node:stream";
import type { IoAttach, IoCreator } from "../ports.ts";
import { attachFifoIo, type FifoStreams, fifoIo } from "./fifo-io.ts";

/** Streams of this process that stand for those of another one. */
export interface StdStreams {
  /** Without it the process has no stdin. Its end is not passed on: call the process's `closeStdin`. */
  readonly stdin?: Readable;
  readonly stdout: Writable;
  /** Not written to for a terminal, which has one output only. */
  readonly stderr: Writable;
}

export interface StdioOptions extends StdStreams {
  /** Folder in which each process gets a folder of its own for its FIFOs; made when missing. */
  readonly dir: string;
}

/** Joins a process to streams of this one; it waits when these are slow. */
export function stdioIo({ dir, ...streams }: StdioOptions): IoCreator {
  return fifoIo({ dir, ...fifoStreams(streams) });
}

/** The same with a terminal: resize it with the process's `resize`. */
export function terminalIo({ dir, ...streams }: StdioOptions): IoCreator {
  return fifoIo({ dir, terminal: true, ...fifoStreams(streams) });
}

/** Joins the streams of a process that runs already. */
export function attachStdio(streams: StdStreams): IoAttach {
  return attachFifoIo(fifoStreams(streams));
}

function fifoStreams({ stdin, stdout, stderr }: StdStreams): FifoStreams {
  return {
    onStdout: (bytes) => copyTo(stdout, bytes),
    onStderr: (bytes) => copyTo(stderr, bytes),
    ...(stdin && { onStdin: (own: Writable) => void stdin.pipe(own, { end: false }) }),
  };
}

/** Returns a promise only when the stream is full. What is written to a closed stream is dropped. */
function copyTo(stream: Writable, bytes: Buffer): void | Promise<void> {
  if (stream.destroyed || stream.writableEnded) return;
  if (stream.write(Buffer.from(bytes))) return; // a copy: the reader's buffer is used again
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off("drain", done).off("close", done).off("error", done);
      resolve();
    };
    stream.on("drain", done).on("close", done).on("error", done);
  });
}
