// SPDX-License-Identifier: Apache-2.0
import { type BigIntStats, closeSync, readlinkSync, readSync } from "node:fs";
import { fault } from "../base/errors.ts";
import type { TarType } from "../images/tar/tar-reader.ts";
import {
  type NewTarEntry,
  plainMember,
  tarEnd,
  tarHeader,
  tarPadding,
  tarTime,
} from "../images/tar/tar-writer.ts";
import { type Change, layerAttributes, openFile, treeChanges } from "./tree-changes.ts";

const chunkBytes = 256 * 1024;

export interface ArchiveRequest {
  /** Undefined for nothing at all. */
  readonly lower: string | undefined;
  readonly upper: string;
  /** No time in the archive is later than this, in nanoseconds; undefined to keep all. */
  readonly latestNanos: bigint | undefined;
  /** Called as the work gets on, also where nothing has changed. */
  readonly step: () => void;
}

/** A layer's plain archive: what must be put over `lower` to make it `upper`. */
export function* changeArchive(request: ArchiveRequest): Generator<Buffer, void, undefined> {
  const names = new Map<string, string>();
  for (const change of treeChanges(request)) {
    if (change.kind === "deleted") yield whiteout(change.at, request);
    else yield* member(change, request, names);
  }
  yield tarEnd;
}

function whiteout(at: string, { latestNanos }: ArchiveRequest): Buffer {
  const slash = at.lastIndexOf("/");
  return tarHeader({
    ...plainMember,
    type: "file",
    name: `${at.slice(1, slash + 1)}.wh.${at.slice(slash + 1)}`,
    mtime: tarTime(latestNanos ?? 0n),
  });
}

function* member(
  { at, stat }: Extract<Change, { kind: "present" }>,
  { upper, latestNanos }: ArchiveRequest,
  names: Map<string, string>,
): Generator<Buffer, void, undefined> {
  const file = `${upper}${at}`;
  const mtime = tarTime(
    latestNanos !== undefined && stat.mtimeNs > latestNanos ? latestNanos : stat.mtimeNs,
  );
  const common: NewTarEntry = {
    ...plainMember,
    type: typeOf(stat),
    name: stat.isDirectory() ? `${at.slice(1)}/` : at.slice(1),
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtime,
  };
  const first = linkedName(at, stat, names);
  if (first !== undefined) {
    yield tarHeader({ ...common, type: "hardlink", linkName: first.slice(1) });
  } else if (stat.isFile()) {
    const size = Number(stat.size);
    yield tarHeader({ ...common, size, xattrs: layerAttributes(file) });
    yield* contentOf(file, size);
    yield tarPadding(size);
  } else if (stat.isDirectory()) {
    yield tarHeader({ ...common, xattrs: layerAttributes(file) });
  } else if (stat.isSymbolicLink()) {
    const linkName = readlinkSync(Buffer.from(file, "latin1"), "buffer").toString("latin1");
    yield tarHeader({ ...common, linkName });
  } else {
    yield tarHeader({ ...common, ...deviceOf(stat) });
  }
}

/** The name under which the archive has the same inode already. */
function linkedName(at: string, stat: BigIntStats, names: Map<string, string>): string | undefined {
  if (stat.nlink < 2n || stat.isDirectory()) return undefined;
  const inode = `${stat.dev}:${stat.ino}`;
  const first = names.get(inode);
  if (first === undefined) names.set(inode, at);
  return first;
}

/** Exactly as many bytes as the header says, whatever the file does meanwhile. */
function* contentOf(file: string, size: number): Generator<Buffer, void, undefined> {
  const fd = openFile(file);
  try {
    for (let done = 0; done < size; ) {
      const chunk = Buffer.alloc(Math.min(chunkBytes, size - done));
      const got = readSync(fd, chunk, 0, chunk.length, done);
      if (got === 0) throw fault("ABORTED", `file "${file}" shrank while it was read`);
      yield chunk.subarray(0, got);
      done += got;
    }
  } finally {
    closeSync(fd);
  }
}

function typeOf(stat: BigIntStats): TarType {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isFIFO()) return "fifo";
  return stat.isBlockDevice() ? "block" : "character";
}

function deviceOf({ rdev }: BigIntStats): { major: number; minor: number } {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & ~0xffn)),
  };
}
