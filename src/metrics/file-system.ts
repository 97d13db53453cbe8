// SPDX-License-Identifier: Apache-2.0
import { statfs } from "node:fs/promises";
import { mountsHolding } from "../base/os/mount-table.ts";

/** The file system that writable layers are on. */
export interface FileSystemSample {
  /** What is mounted there, "/dev/sda1"; "/" when that is not known. */
  readonly device: string;
  readonly limitBytes: number;
  readonly inodesFree: number;
  readonly inodesTotal: number;
}

/** How long one answer of statfs serves: a scrape asks for each container. */
const freshMs = 1000;

/** Reads one file system's size, at most once a second. */
export class FileSystem {
  readonly #folder: string;
  #device: Promise<string> | undefined;
  #sample: Promise<FileSystemSample | undefined> | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** undefined when it cannot be read. */
  sample(): Promise<FileSystemSample | undefined> {
    const now = performance.now();
    if (this.#sample === undefined || now - this.#readAtMs >= freshMs) {
      this.#readAtMs = now;
      this.#sample = this.#read().catch(() => undefined);
    }
    return this.#sample;
  }

  async #read(): Promise<FileSystemSample> {
    this.#device ??= deviceOf(this.#folder).catch(() => "/");
    const [device, { bsize, blocks, files, ffree }] = await Promise.all([
      this.#device,
      statfs(this.#folder),
    ]);
    return { device, limitBytes: bsize * blocks, inodesFree: ffree, inodesTotal: files };
  }
}

async function deviceOf(folder: string): Promise<string> {
  const { source = "" } = (await mountsHolding([folder])).of(folder) ?? {};
  return source === "" ? "/" : source;
}
