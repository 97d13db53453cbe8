// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  type Stats,
  statSync,
} from "node:fs";
import path from "node:path";
import { sleep } from "../../base/timers.ts";
import { newerSchema, schemaVersion, wayOut } from "./schema.ts";

/** https://www.sqlite.org/fileformat2.html: the first hundred bytes of a database. */
const headerBytes = 100;
const magic = "SQLite format 3\0";
const at = { pageSize: 16, changes: 24, pages: 28, userVersion: 60, validFor: 92 };

/** A database that is being written to may be shorter than it says for a moment. */
const looks = 5;
const pauseMs = 100;

/**
 * Why this version would not start on a database, as far as its first bytes tell; undefined where nothing speaks
 * against it; `told` is for lostRecords. It takes no lock, so that it can be asked while another version has the database open.
 */
export async function databaseRefusal(
  file: string,
  told: readonly string[],
): Promise<string | undefined> {
  const look = (): string | undefined => lostRecords(file, told) ?? refusalNow(file);
  let refusal = look();
  for (let at = 1; at < looks && refusal !== undefined; at++) {
    await sleep(pauseMs);
    refusal = look();
  }
  return refusal;
}

/**
 * Why no new database may be begun where there is none, or an empty file: `told` are folders whose folders hold what a database
 * told of, blobs and layers, which the next collection would take for garbage.
 */
export function lostRecords(file: string, told: readonly string[]): string | undefined {
  let found: Stats | undefined;
  try {
    found = lstatSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined; // not for whoever asks, or a disk that fails, which opening it tells
  }
  if (found !== undefined && (!found.isFile() || found.size > 0)) return undefined;
  const full = told.find(holdsAny);
  if (full === undefined) return undefined;
  const what = found ? "it is empty" : "it is gone";
  return `cannot open "${file}": ${what}, while "${full}" still holds what it told of; ${wayOut}`;
}

function holdsAny(folder: string): boolean {
  return namesIn(folder).some((name) => namesIn(path.join(folder, name)).length > 0);
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // none, or no folder, or not for whoever asks
  }
}

/** What its first bytes say against a database, read once. */
export function refusalNow(file: string): string | undefined {
  const seen = readHeader(file);
  if (seen === undefined || seen.size === 0) return undefined;
  const { header, size } = seen;
  if (header.toString("latin1", 0, magic.length) !== magic)
    return `cannot open "${file}": it is no SQLite database; ${wayOut}`;
  const schema = header.readUInt32BE(at.userVersion);
  if (schema > schemaVersion) return newerSchema(file, schema);
  // The number of pages counts only where the last to write the file knew of it.
  if (header.readUInt32BE(at.validFor) !== header.readUInt32BE(at.changes)) return undefined;
  const pageSize = header.readUInt16BE(at.pageSize);
  const whole = header.readUInt32BE(at.pages) * (pageSize === 1 ? 65_536 : pageSize);
  if (size >= whole || hasLog(file)) return undefined;
  return `cannot open "${file}": it is cut off: it has ${size} bytes of ${whole}; ${wayOut}`;
}

/**
 * Whether its log holds pages. A checkpoint that was cut off, by a `kill -9` or with the power, leaves a file that is
 * shorter than its new header says; the rest is in the log, from which SQLite takes it.
 */
function hasLog(file: string): boolean {
  try {
    return statSync(`${file}-wal`).size > 0;
  } catch {
    return false;
  }
}

function readHeader(file: string): { header: Buffer; size: number } | undefined {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch {
    // There is none yet, or it is not for whoever asks.
    return undefined;
  }
  try {
    const header = Buffer.alloc(headerBytes);
    readSync(fd, header, 0, headerBytes, 0);
    return { header, size: fstatSync(fd).size };
  } finally {
    closeSync(fd);
  }
}
