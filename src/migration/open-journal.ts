// SPDX-License-Identifier: Apache-2.0
import { constants } from "node:fs";
import { link, open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { syncDirectory } from "../base/atomic-file.ts";
import type { Journal } from "./journal.ts";

/** What may be added to it later are names of steps. */
const growthBytes = 4096;
const unitBytes = 16_384;

/**
 * The journal while one process works by it: what it says is on the disk once `save` resolves. Beside it lies a file of
 * the same size that is written in place and then takes its name, so that a disk that fills up meanwhile keeps no step
 * from being written down.
 */
export class OpenJournal implements AsyncDisposable {
  readonly journal: Journal;
  readonly #file: string;
  readonly #bytes: number;

  private constructor(file: string, journal: Journal) {
    this.#file = file;
    this.journal = journal;
    const bytes = Buffer.byteLength(textOf(journal)) + growthBytes;
    this.#bytes = Math.ceil(bytes / unitBytes) * unitBytes;
  }

  static async open(file: string, journal: Journal): Promise<OpenJournal> {
    const opened = new OpenJournal(file, journal);
    await opened.#write();
    await rename(opened.#spare, file);
    await opened.#write();
    await syncDirectory(path.dirname(file));
    return opened;
  }

  async save(): Promise<void> {
    const before = `${this.#file}.before`;
    await this.#write();
    await rm(before, { force: true });
    await link(this.#file, before);
    await rename(this.#spare, this.#file);
    await rename(before, this.#spare);
    await syncDirectory(path.dirname(this.#file));
  }

  get #spare(): string {
    return `${this.#file}.spare`;
  }

  /** With blanks to its end. What is there is overwritten, and its room kept. */
  async #write(): Promise<void> {
    const text = Buffer.alloc(this.#bytes, " ");
    if (text.write(textOf(this.journal)) >= this.#bytes)
      throw new RangeError("a journal that grows");
    await using handle = await open(this.#spare, constants.O_WRONLY | constants.O_CREAT, 0o600);
    await handle.write(text, 0, text.length, 0);
    await handle.truncate(text.length);
    await handle.sync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#spare, { force: true }).catch(() => {});
  }
}

function textOf(journal: Journal): string {
  return `${JSON.stringify(journal, null, 2)}\n`;
}
