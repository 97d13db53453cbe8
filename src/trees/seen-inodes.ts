// SPDX-License-Identifier: Apache-2.0
import type { FileFacts } from "../base/os/file-facts.ts";

const firstSlots = 1024;
/** Words of a slot: the inode's number, low and high, and the file system's. */
const width = 3;

/**
 * Which inodes were seen, in 12 bytes a slot. It holds `most` of them, 9 MiB with the default; those that come later
 * are not remembered.
 */
export class SeenInodes {
  readonly #most: number;
  #slots = firstSlots;
  #table = new Uint32Array(firstSlots * width);
  #taken = new Uint8Array(firstSlots);
  #size = 0;

  constructor(most = 2 ** 19) {
    this.#most = most;
  }

  /** True the first time, false when it was seen before; undefined when the table is full and it is not in it. */
  add(facts: Pick<FileFacts, "inodeLow" | "inodeHigh" | "device">): boolean | undefined {
    const { inodeLow, inodeHigh, device } = facts;
    const slot = this.#find(inodeLow, inodeHigh, device);
    if (this.#taken[slot] === 1) return false;
    if (this.#size >= this.#most) return undefined;
    this.#put(slot, inodeLow, inodeHigh, device);
    this.#size += 1;
    if (this.#size * 4 > this.#slots * 3) this.#grow();
    return true;
  }

  /** The inode's slot, or the free one where it belongs. */
  #find(low: number, high: number, device: number): number {
    const mask = this.#slots - 1;
    let slot = hash(low, high, device) & mask;
    while (this.#taken[slot] === 1) {
      const at = slot * width;
      const table = this.#table;
      if (table[at] === low && table[at + 1] === high && table[at + 2] === device) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #put(slot: number, low: number, high: number, device: number): void {
    this.#taken[slot] = 1;
    this.#table.set([low, high, device], slot * width);
  }

  #grow(): void {
    const table = this.#table;
    const taken = this.#taken;
    this.#slots *= 2;
    this.#table = new Uint32Array(this.#slots * width);
    this.#taken = new Uint8Array(this.#slots);
    for (let from = 0; from < taken.length; from += 1) {
      if (taken[from] !== 1) continue;
      const [low = 0, high = 0, device = 0] = table.subarray(from * width, (from + 1) * width);
      this.#put(this.#find(low, high, device), low, high, device);
    }
  }
}

/** Inode numbers are dense, and a tenant may choose which it uses: every bit has to count. */
function hash(low: number, high: number, device: number): number {
  let mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1) ^ Math.imul(device, 0x85ebca6b), salt);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

/** Odd, and another one in each thread, so that nobody can choose inodes that collide. */
const salt = (Math.floor(Math.random() * 2 ** 31) << 1) | 1;
