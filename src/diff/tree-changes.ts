// SPDX-License-Identifier: Apache-2.0
import {
  type BigIntStats,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { attributesOf } from "../base/os/inode.ts";

/** One thing that makes the upper tree differ from the lower. Paths are bytes, one character each. */
export type Change =
  | { readonly kind: "present"; readonly at: string; readonly stat: BigIntStats }
  | { readonly kind: "deleted"; readonly at: string };

export interface Trees {
  readonly lower: string | undefined;
  readonly upper: string;
  /** Called as the work gets on. */
  readonly step: () => void;
}

const compareBytes = 1024 * 1024;

/**
 * What must be put over the tree `lower` so that it becomes `upper`, folders before what is in them.
 * The folders above a change are listed too, since a layer that only implied them would lose their modes and owners.
 */
export function* treeChanges(trees: Trees): Generator<Change> {
  const { upper } = trees;
  const listed = new Set<string>([""]);
  for (const change of changesBelow(trees, "")) {
    const parents = change.at.split("/").slice(1, -1);
    let at = "";
    for (const part of parents) {
      at += `/${part}`;
      if (listed.has(at)) continue;
      listed.add(at);
      yield { kind: "present", at, stat: lookAt(`${upper}${at}`) };
    }
    if (change.kind === "present" && listed.has(change.at)) continue;
    listed.add(change.at);
    yield change;
  }
}

function* changesBelow({ lower, upper, step }: Trees, dir: string): Generator<Change> {
  const below = new Set(lower === undefined ? [] : namesIn(`${lower}${dir}`));
  for (const name of namesIn(`${upper}${dir}`)) {
    step();
    const at = `${dir}/${name}`;
    const stat = lookAt(`${upper}${at}`);
    const before = lower !== undefined && below.delete(name) ? lookAt(`${lower}${at}`) : undefined;
    if (stat.isSocket()) continue; // an archive has no such thing
    const isSameKind = before !== undefined && kindOf(before) === kindOf(stat);
    if (!isSameKind || hasChanged([`${lower}${at}`, before], [`${upper}${at}`, stat], step)) {
      yield { kind: "present", at, stat };
    }
    if (stat.isDirectory())
      yield* changesBelow({ lower: isSameKind ? lower : undefined, upper, step }, at);
  }
  for (const name of below) yield { kind: "deleted", at: `${dir}/${name}` };
}

type Looked = readonly [file: string, stat: BigIntStats];

function hasChanged([from, before]: Looked, [to, after]: Looked, step: () => void): boolean {
  if (before.mode !== after.mode || before.uid !== after.uid || before.gid !== after.gid) {
    return true;
  }
  if (after.isSymbolicLink()) {
    return !readlinkSync(bytes(from), "buffer").equals(readlinkSync(bytes(to), "buffer"));
  }
  if (after.isCharacterDevice() || after.isBlockDevice()) return before.rdev !== after.rdev;
  if (!after.isFile() && !after.isDirectory()) return false;
  if (!sameAttributes(from, to)) return true;
  if (after.isDirectory()) return false;
  if (before.size !== after.size || before.mtimeNs !== after.mtimeNs) return true;
  // A time without nanoseconds comes from an archive, where two different files may well have the same.
  return after.mtimeNs % 1_000_000_000n === 0n && !sameContent(from, to, step);
}

/** The attributes that belong into a layer: capabilities and the users' own. */
export function layerAttributes(file: string): ReadonlyMap<string, Buffer> {
  const fd = openFile(file);
  try {
    return new Map(
      [...attributesOf(fd)].filter(
        ([name]) =>
          name === "security.capability" ||
          (name.startsWith("user.") && !name.startsWith("user.overlay.")),
      ),
    );
  } finally {
    closeSync(fd);
  }
}

/** Opens without following a link or waiting for a FIFO's other end. */
export function openFile(file: string): number {
  return openSync(bytes(file), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
}

function sameAttributes(from: string, to: string): boolean {
  const before = layerAttributes(from);
  const after = layerAttributes(to);
  if (before.size !== after.size) return false;
  return [...before].every(([name, value]) => after.get(name)?.equals(value));
}

function sameContent(from: string, to: string, step: () => void): boolean {
  const [a, b] = [openFile(from), openFile(to)];
  try {
    const [left, right] = [Buffer.alloc(compareBytes), Buffer.alloc(compareBytes)];
    for (;;) {
      step();
      const [x, y] = [readSync(a, left), readSync(b, right)];
      if (x !== y || left.compare(right, 0, y, 0, x) !== 0) return false;
      if (x === 0) return true;
    }
  } finally {
    closeSync(a);
    closeSync(b);
  }
}

function namesIn(dir: string): string[] {
  return readdirSync(bytes(dir), { encoding: "latin1" }).sort();
}

function lookAt(file: string): BigIntStats {
  return lstatSync(bytes(file), { bigint: true });
}

function kindOf({ mode }: BigIntStats): bigint {
  return mode & 0o170000n;
}

function bytes(file: string): Buffer {
  return Buffer.from(file, "latin1");
}
