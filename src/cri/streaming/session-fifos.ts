// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { makeFifo } from "../../base/os/fifo.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";

type StreamName = "stdin" | "stdout" | "stderr";

/**
 * A session's FIFOs in a folder of their own, named `ID-stdin` and so on; "" for a stream that is not
 * asked for. Disposing removes the names; whoever has them open goes on.
 */
export class SessionFifoFolder implements Disposable {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly #folder: string;

  /** Synchronous: it takes microseconds, since /run is memory. Throws Node's system error. */
  constructor(parent: string, id: string, streams: Readonly<Record<StreamName, boolean>>) {
    this.#folder = path.join(parent, randomBytes(8).toString("hex"));
    const fifo = (name: StreamName): string =>
      streams[name] ? path.join(this.#folder, `${id}-${name}`) : "";
    this.stdin = fifo("stdin");
    this.stdout = fifo("stdout");
    this.stderr = fifo("stderr");
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    try {
      for (const file of [this.stdin, this.stdout, this.stderr]) if (file !== "") makeFifo(file);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    removeFolderSync(this.#folder);
  }
}
