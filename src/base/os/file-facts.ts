// SPDX-License-Identifier: Apache-2.0

import type { FileTime } from "./at.ts";
import { terminatedName } from "./at.ts";
import { lastError } from "./errno.ts";
import { libc } from "./libc.ts";

const cStatx = libc(
  "int statx(int dirfd, const uint8_t *path, int flags, unsigned int mask, _Out_ uint8_t *facts)",
);

const symlinkNoFollow = 0x100;
const noAutomount = 0x800;
const emptyPath = 0x1000;
const basicAndMount = 0x7ff | 0x1000; // STATX_BASIC_STATS, STATX_MNT_ID (5.8)

/** The type bits of `mode` (S_IFMT and below). */
export const FileType = {
  mask: 0o170000,
  fifo: 0o010000,
  characterDevice: 0o020000,
  folder: 0o040000,
  blockDevice: 0o060000,
  regular: 0o100000,
  link: 0o120000,
  socket: 0o140000,
} as const;

/** Bits of `attributes` (STATX_ATTR_…). */
export const FileAttribute = { immutable: 0x10, appendOnly: 0x20, mountRoot: 0x2000 } as const;

/** What statx reports of a file itself, not of what a link points to. */
export interface FileFacts {
  /** Type and permission bits. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  /** The inode's number in two words: together they do not fit a number. */
  readonly inodeLow: number;
  readonly inodeHigh: number;
  /** Of the file system: major × 2²⁰ + minor. */
  readonly device: number;
  /** In bytes. */
  readonly size: number;
  /** Allocated, in units of 512 bytes. */
  readonly blocks: number;
  readonly attributes: number;
  /** Which device a device file is. */
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly accessed: FileTime;
  readonly modified: FileTime;
  /** Of the mount it is in; 0 where the kernel does not report it. */
  readonly mountId: number;
}

/** Facts of a name in an open folder. Throws SystemError. */
export function factsAt(folder: number, name: Buffer): FileFacts {
  const found = factsIfAny(folder, name);
  if (found === undefined) throw lastError("statx", name.toString());
  return found;
}

/** The same, undefined when there is no such name. */
export function factsIfAny(folder: number, name: Buffer): FileFacts | undefined {
  const flags = symlinkNoFollow | noAutomount | (name.length === 0 ? emptyPath : 0);
  if (cStatx(folder, terminatedName(name), flags, basicAndMount, raw) === 0) return read();
  const error = lastError("statx", name.toString());
  if (error.code === "ENOENT") return undefined;
  throw error;
}

/** Facts of an open file. */
export function factsOf(fd: number): FileFacts {
  return factsAt(fd, nothing);
}

const nothing = Buffer.alloc(0);
const words = new Uint32Array(64); // struct statx
const raw = Buffer.from(words.buffer);

function read(): FileFacts {
  return {
    mode: word(28) & 0xffff,
    links: word(16),
    uid: word(20),
    gid: word(24),
    inodeLow: word(32),
    inodeHigh: word(36),
    device: word(136) * 2 ** 20 + word(140),
    size: long(40),
    blocks: long(48),
    attributes: word(8),
    deviceMajor: word(128),
    deviceMinor: word(132),
    accessed: time(64),
    modified: time(112),
    mountId: long(144),
  };
}

function word(offset: number): number {
  return words[offset / 4] ?? 0;
}

function long(offset: number): number {
  return word(offset) + word(offset + 4) * 2 ** 32;
}

function time(offset: number): FileTime {
  return { seconds: word(offset) + (word(offset + 4) | 0) * 2 ** 32, nanos: word(offset + 8) };
}
