// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, readSync, writeSync } from "node:fs";
import { setImmediate as loopTurn } from "node:timers/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf } from "../../base/errors.ts";
import { atCurrent, couldUnlinkAt, openAt, openFolder } from "../../base/os/at.ts";
import { DirectoryReader, EntryType } from "../../base/os/directory-reader.ts";
import { lastError, SystemError } from "../../base/os/errno.ts";

// A container that may make cgroups can nest them beyond any path's length, and have any number of
// processes in them. They are walked with one open folder, by ".." on the way back: a cgroup is never moved
// to another parent. Each step yields; what runs them leaves the main thread to others in between.

const sliceMs = 4;
const pidBytes = 16 * 1024;
const up = Buffer.from("..");
const busy = 16; // EBUSY

/** Runs work of small steps in slices of some milliseconds. Rejects when the signal fires in between. */
export async function inSlices<T>(
  work: Generator<void, T, void>,
  { signal }: Cancellable,
): Promise<T> {
  let since = performance.now();
  try {
    for (;;) {
      const step = work.next();
      if (step.done === true) return step.value;
      if (performance.now() - since < sliceMs) continue;
      await loopTurn();
      signal.throwIfAborted();
      since = performance.now();
    }
  } finally {
    work.return(undefined as T); // closes what it has open
  }
}

/** An open folder of a hierarchy, which moves. Throws SystemError. */
class Place implements Disposable {
  #fd: number;

  constructor(folder: string) {
    this.#fd = openAt(atCurrent, Buffer.from(folder), openFolder);
  }

  get fd(): number {
    return this.#fd;
  }

  move(name: Buffer): void {
    const next = openAt(this.#fd, name, openFolder);
    closeSync(this.#fd);
    this.#fd = next;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Sends SIGKILL to all in a cgroup and below, and thaws those below. Answers how many there were. */
export function* killBelow(folder: string): Generator<void, number, void> {
  using place = new Place(folder);
  const positions: bigint[] = [];
  let count = yield* killIn(place.fd);
  for (let reader = new DirectoryReader(place.fd); ; ) {
    yield;
    const entry = reader.next();
    if (entry === undefined) {
      const position = positions.pop();
      if (position === undefined) return count;
      place.move(up);
      reader = new DirectoryReader(place.fd);
      reader.seek(position);
    } else if (entry.type === EntryType.folder && enter(place, entry.name)) {
      positions.push(reader.position);
      reader = new DirectoryReader(place.fd);
      count += yield* killIn(place.fd);
      thawAt(place.fd);
    }
  }
}

/** Removes the cgroups below one, but not itself. Throws SystemError EBUSY where processes are left. */
export function* removeBelow(folder: string): Generator<void, void, void> {
  using place = new Place(folder);
  for (let depth = 0; ; ) {
    const { held, removed } = yield* removeChildren(place.fd);
    if (held !== undefined) {
      if (enter(place, held)) depth += 1;
      continue;
    }
    if (depth === 0) return;
    // It could not be removed, and there is nothing in it but processes.
    if (removed === 0) throw new SystemError("rmdir", busy, folder);
    place.move(up);
    depth -= 1;
  }
}

/** Removes those that are empty, up to one that is not. */
function* removeChildren(
  fd: number,
): Generator<void, { held: Buffer | undefined; removed: number }, void> {
  const reader = new DirectoryReader(fd);
  reader.seek(0n);
  let removed = 0;
  for (let entry = reader.next(); entry !== undefined; entry = reader.next()) {
    yield;
    if (entry.type !== EntryType.folder) continue;
    if (couldUnlinkAt(fd, entry.name, true)) removed += 1;
    else if (lastError("rmdir").code !== "ENOENT") return { held: entry.name, removed };
  }
  return { held: undefined, removed };
}

function enter(place: Place, name: Buffer): boolean {
  try {
    place.move(name);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** The list is of this moment: a number of it is not another process's yet. */
function* killIn(folder: number): Generator<void, number, void> {
  let count = 0;
  const fd = openIn(folder, "cgroup.procs", constants.O_RDONLY);
  if (fd === undefined) return count;
  try {
    const bytes = Buffer.alloc(pidBytes);
    for (let rest = ""; ; ) {
      const size = readMembers(fd, bytes);
      if (size === 0) return count;
      const lines = (rest + bytes.toString("latin1", 0, size)).split("\n");
      rest = lines.pop() ?? "";
      for (const pid of lines.map(Number)) {
        if (pid > 0 && killNow(pid)) count += 1; // 0 is of another process namespace
        yield;
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** A threaded cgroup has none of its own (EOPNOTSUPP), one that is gone neither. */
function readMembers(fd: number, bytes: Buffer): number {
  try {
    return readSync(fd, bytes, 0, bytes.length, null);
  } catch {
    return 0;
  }
}

function killNow(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}

/** The one file or the other is there, by the cgroup's version, or none: other controllers' of v1. */
function thawAt(folder: number): void {
  for (const [name, value] of [
    ["freezer.state", "THAWED"],
    ["cgroup.freeze", "0"],
  ] as const) {
    const fd = openIn(folder, name, constants.O_WRONLY);
    if (fd === undefined) continue;
    try {
      writeSync(fd, value);
    } catch {
      // gone meanwhile
    } finally {
      closeSync(fd);
    }
  }
}

function openIn(folder: number, name: string, flags: number): number | undefined {
  try {
    return openAt(folder, Buffer.from(name), flags);
  } catch {
    return undefined;
  }
}
