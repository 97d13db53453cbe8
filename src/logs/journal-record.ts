// SPDX-License-Identifier: Apache-2.0
import { TIMESTAMP_LENGTH } from "./log-clock.ts";
import type { Rest } from "./read-journal.ts";

/** A file, and how long it was. */
export interface LogPosition {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: number;
}

/** What is being written to a log, and what it is made of. */
export interface JournalRecord {
  /** `chunk`: the FIFO's first bytes. `end`: an unfinished line whose end will not come. */
  readonly kind: "chunk" | "end";
  /** Bytes at the beginning of the FIFO. */
  readonly length: number;
  /** What the last of these bytes is not, so that the mark tells whether it was taken. */
  readonly sentinel: number;
  /** All of it is done: `after` is what there is of an unfinished line. */
  readonly isDone: boolean;
  /** The unfinished line before. */
  readonly before: Rest;
  /** And after. It is complete before anything is taken. */
  readonly after: Rest;
  /** What the lines are cut with. */
  readonly maxLineBytes: number;
  /** The lines' time, as text. */
  readonly time: Buffer;
  /** Where in which file the lines begin; undefined where there is no file. */
  readonly position: LogPosition | undefined;
}

/** The first byte is the mark, which the kernel overwrites with the last byte that was taken. */
const at = {
  mark: 0,
  sentinel: 1,
  kind: 2,
  beforeArea: 3,
  afterArea: 4,
  length: 8,
  beforeLength: 12,
  afterLength: 16,
  maxLineBytes: 20,
  device: 24,
  inode: 32,
  size: 40,
  time: 48,
  magic: 80,
} as const;
export const recordBytes = 84;
const mostInt32 = 0x7fffffff;
/** Changes when lines are made otherwise, or this is. */
const magic = 0x314a4c42;

export function encodeRecord(record: JournalRecord, to: Buffer): void {
  const { sentinel, position } = record;
  to.writeUInt8(record.isDone ? sentinel ^ 0xff : sentinel, at.mark);
  to.writeUInt8(sentinel, at.sentinel);
  to.writeUInt8(record.kind === "chunk" ? 1 : 2, at.kind);
  to.writeUInt8(record.before.area, at.beforeArea);
  to.writeUInt8(record.after.area, at.afterArea);
  to.writeUInt32LE(record.length, at.length);
  to.writeUInt32LE(record.before.length, at.beforeLength);
  to.writeUInt32LE(record.after.length, at.afterLength);
  to.writeInt32LE(Math.min(record.maxLineBytes, mostInt32), at.maxLineBytes);
  to.writeBigUInt64LE(position?.device ?? 0n, at.device);
  to.writeBigUInt64LE(position?.inode ?? 0n, at.inode);
  to.writeDoubleLE(position?.size ?? 0, at.size);
  record.time.copy(to, at.time, 0, TIMESTAMP_LENGTH);
  to.writeUInt32LE(magic, at.magic);
}

export function decodeRecord(from: Buffer): JournalRecord | undefined {
  if (from.readUInt32LE(at.magic) !== magic) return undefined;
  const sentinel = from.readUInt8(at.sentinel);
  const inode = from.readBigUInt64LE(at.inode);
  const device = from.readBigUInt64LE(at.device);
  return {
    kind: from.readUInt8(at.kind) === 1 ? "chunk" : "end",
    length: from.readUInt32LE(at.length),
    sentinel,
    isDone: from.readUInt8(at.mark) !== sentinel,
    before: rest(from.readUInt8(at.beforeArea), from.readUInt32LE(at.beforeLength)),
    after: rest(from.readUInt8(at.afterArea), from.readUInt32LE(at.afterLength)),
    maxLineBytes: from.readInt32LE(at.maxLineBytes),
    time: Buffer.from(from.subarray(at.time, at.time + TIMESTAMP_LENGTH)),
    position: inode === 0n ? undefined : { device, inode, size: from.readDoubleLE(at.size) },
  };
}

function rest(area: number, length: number): Rest {
  return { area: area === 0 ? 0 : 1, length };
}
