// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import path from "node:path";
import { errnoOf } from "../base/errors.ts";
import { makeFolderSync } from "../base/make-folder.ts";

/** Linux' O_PATH, which Node has no name for: a descriptor of a file without opening it. */
const O_PATH = 0o10000000;
const pathFlags = O_PATH | fs.constants.O_NOFOLLOW;
const folderFlags = O_PATH | fs.constants.O_DIRECTORY;
const appendFlags = fs.constants.O_RDWR | fs.constants.O_APPEND;
const createFlags =
  appendFlags | fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_NOFOLLOW;
/** How many times a file that comes and goes is tried. */
const attempts = 5;
/** How many names of a folder are looked at: a kubelet keeps a handful of rotated logs. */
const mostNames = 1000;

export interface LogPlace {
  /** Absolute path of the log file. */
  readonly file: string;
  /** The pod's folder of logs, a parent of `file`. */
  readonly folder: string;
}

/**
 * Opens a log file for appending (and reading), mode 0640. A pod may have the folder of logs mounted, so what lies in
 * it is not trusted. Only a regular file is ever opened: a FIFO would block the log worker, and a device may do
 * anything. No symbolic link is followed below the pod's folder: it would choose where the container's output is
 * written. The folder itself may be reached through links: it is the kubelet's.
 *
 * Throws Node's system error; EINVAL with a text of its own for what is no regular file.
 */
export function openLogFile(
  { file, folder }: LogPlace,
  { makeFolders }: { readonly makeFolders: boolean },
): number {
  if (makeFolders) makeFolderSync(folder, 0o755);
  return inFolderOf({ file, folder }, makeFolders, (at) =>
    openFile(`${at}/${path.basename(file)}`, file),
  );
}

/**
 * Opens the file with this inode, as openLogFile does, where it still is in the log's folder, under whatever name: a
 * log that was rotated. Looks at so many names only. Throws Node's system error.
 */
export function openRotated(
  place: LogPlace,
  { device, inode }: { readonly device: bigint; readonly inode: bigint },
): number | undefined {
  const is = (found: fs.BigIntStats | undefined): boolean =>
    found?.dev === device && found.ino === inode;
  return inFolderOf(place, false, (at) => {
    using folder = fs.opendirSync(at);
    for (let looked = 0; looked < mostNames; looked += 1) {
      const entry = folder.readSync();
      if (entry === null) return undefined;
      if (!entry.isFile()) continue;
      const file = `${at}/${entry.name}`;
      // It may go, or become another, at any moment.
      if (!is(fs.lstatSync(file, { bigint: true, throwIfNoEntry: false }))) continue;
      const fd = openExisting(file, entry.name);
      if (is(fs.fstatSync(fd, { bigint: true }))) return fd;
      fs.closeSync(fd);
    }
    return undefined;
  });
}

/** Goes to the log's folder without following a link, and hands over a path to it. */
function inFolderOf<T>(
  { file, folder }: LogPlace,
  makeFolders: boolean,
  work: (folder: string) => T,
): T {
  const steps = path.relative(folder, file).split("/").slice(0, -1);
  let at = fs.openSync(folder, folderFlags);
  try {
    for (const step of steps) {
      const next = openFolder(`/proc/self/fd/${at}/${step}`, makeFolders);
      fs.closeSync(at);
      at = next;
    }
    return work(`/proc/self/fd/${at}`);
  } finally {
    fs.closeSync(at);
  }
}

function openFolder(place: string, make: boolean): number {
  if (make) {
    try {
      fs.mkdirSync(place, 0o755);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
  }
  return fs.openSync(place, folderFlags | fs.constants.O_NOFOLLOW);
}

function openFile(place: string, named: string): number {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return openExisting(place, named);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
    try {
      return fs.openSync(place, createFlags, 0o640);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST" || attempt === attempts) throw error;
    }
  }
}

/** Finds out what the file is before opening that very file: opening may block, or have effects. */
function openExisting(place: string, named: string): number {
  const found = fs.openSync(place, pathFlags);
  try {
    const stats = fs.fstatSync(found);
    if (!stats.isFile()) throw notRegular(named, stats);
    return fs.openSync(`/proc/self/fd/${found}`, appendFlags);
  } finally {
    fs.closeSync(found);
  }
}

function notRegular(file: string, stats: fs.Stats): Error {
  const kinds: readonly (readonly [boolean, string])[] = [
    [stats.isSymbolicLink(), "a symbolic link"],
    [stats.isFIFO(), "a FIFO"],
    [stats.isDirectory(), "a directory"],
    [stats.isSocket(), "a socket"],
  ];
  const kind = kinds.find(([is]) => is)?.[1] ?? "a device";
  return Object.assign(new Error(`${file} is ${kind}, not a regular file`), { code: "EINVAL" });
}
