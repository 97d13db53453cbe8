// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import path from "node:path";
import type { Writable } from "node:stream";
import type { Cancellable } from "../../base/cancellable.ts";
import { makeFifo } from "../../base/os/fifo.ts";
import { StdinFifo } from "../../base/os/stdin-fifo.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { IoAttach, IoConfig, IoCreator, ProcessIo } from "../ports.ts";
import { FifoReader, type Taken } from "./fifo-reader.ts";

export interface FifoStreams {
  /**
   * Use the bytes before returning: the buffer is used again. When it returns a promise, reading stops until that
   * settles; after `enough` the rest is dropped.
   */
  readonly onStdout: (bytes: Buffer) => Taken;
  /** Not called for a terminal, which has one output only. */
  readonly onStderr: (bytes: Buffer) => Taken;
  /** Called with the process's stdin once it can be written. Without it the process has no stdin. */
  readonly onStdin?: (stdin: Writable) => void;
}

export interface FifoIoOptions extends FifoStreams {
  /** Folder in which each process gets a folder of its own; made when missing. */
  readonly dir: string;
  readonly terminal?: boolean;
}

/**
 * FIFOs between a process and us. They are opened here, before the shim opens its ends; everything is
 * synchronous and takes microseconds, since /run is memory and no open waits for a peer.
 */
export function fifoIo(options: FifoIoOptions): IoCreator {
  const terminal = options.terminal ?? false;
  return async (id) => {
    const folder = path.join(options.dir, randomBytes(8).toString("hex"));
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const remove = (): void => removeFolderSync(folder);
    const fifo = (stream: string): string => path.join(folder, `${id}-${stream}`);
    // Without a terminal a shim wants both output streams or none.
    const config: IoConfig = {
      stdin: options.onStdin ? fifo("stdin") : "",
      stdout: fifo("stdout"),
      stderr: terminal ? "" : fifo("stderr"),
      terminal,
    };
    try {
      for (const file of pathsOf(config)) makeFifo(file);
      return new FifoIo(config, options, false, remove);
    } catch (error) {
      remove();
      throw error;
    }
  };
}

/** Takes over existing FIFOs; they stay when the io is disposed. */
export function attachFifoIo(streams: FifoStreams): IoAttach {
  return async (config) => new FifoIo(config, streams, true, () => {});
}

function pathsOf({ stdin, stdout, stderr }: IoConfig): string[] {
  return [stdin, stdout, stderr].filter((file) => file !== "");
}

class FifoIo implements ProcessIo {
  readonly config: IoConfig;
  readonly #readers: FifoReader[] = [];
  readonly #remove: () => void;
  #stdin: StdinFifo | undefined;

  constructor(config: IoConfig, streams: FifoStreams, drainFirst: boolean, remove: () => void) {
    this.config = config;
    this.#remove = remove;
    try {
      for (const [file, onData] of [
        [config.stdout, streams.onStdout],
        [config.stderr, streams.onStderr],
      ] as const) {
        if (file !== "") this.#readers.push(new FifoReader(file, onData, { drainFirst }));
      }
      if (config.stdin !== "" && streams.onStdin) {
        this.#stdin = new StdinFifo(config.stdin);
        streams.onStdin(this.#stdin.socket);
      }
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  async drained({ signal }: Cancellable): Promise<void> {
    await unlessAborted(Promise.all(this.#readers.map((reader) => reader.ended)), signal);
  }

  async closeStdin(): Promise<void> {
    const stdin = this.#stdin;
    if (!stdin || stdin.socket.destroyed) return;
    await stdin.written();
    stdin.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    this.#remove();
  }

  #close(): void {
    for (const reader of this.#readers) reader[Symbol.dispose]();
    this.#stdin?.[Symbol.dispose]();
  }
}
