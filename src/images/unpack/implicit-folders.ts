// SPDX-License-Identifier: Apache-2.0
import { closeSync, fchmodSync, fchownSync, fstatSync, fsync, openSync } from "node:fs";
import { promisify } from "node:util";
import { errnoOf } from "../../base/errors.ts";
import { splitNanos } from "../../base/nanos.ts";
import {
  attributesOf,
  type FileTime,
  openDirectoryInside,
  setAttributeOf,
  setTimesOf,
} from "../../base/os/inode.ts";
import { isReserved } from "./layer-extractor.ts";

/**
 * Makes folders that a layer only implied look as they do in the layers below: owner, mode, extended attributes and
 * times of the topmost layer that has the folder. Otherwise a layer with `etc/motd` alone would change how `/etc`
 * looks. `lowers` are folders, top first; paths count from their root, parents first. Nothing is flushed to the disk.
 */
export function dressImplicitFolders(
  layer: string,
  lowers: readonly string[],
  implicit: Iterable<string>,
  step: () => void = () => {},
): void {
  if (lowers.length === 0) return;
  using layerRoot = openRoot(layer);
  using stack = new DisposableStack();
  const lowerRoots = lowers.map((lower) => stack.use(openRoot(lower)));
  let missing: string | undefined;
  for (const name of implicit) {
    // A folder that no layer below has: none of them has what is in it either.
    if (missing !== undefined && name.startsWith(missing)) continue;
    step();
    const path = pathBytes(name);
    using source = firstFolder(lowerRoots, path);
    if (source === undefined) missing = `${name}/`;
    else {
      using own = openFolder(layerRoot.fd, path);
      copyLooks(source.fd, own.fd);
    }
  }
}

/** The same for a few folders, flushed to the disk at the end. */
export async function dressAndSync(
  layer: string,
  lowers: readonly string[],
  implicit: readonly string[],
): Promise<void> {
  dressImplicitFolders(layer, lowers, implicit);
  using layerRoot = openRoot(layer);
  for (const name of implicit) {
    using own = openFolder(layerRoot.fd, pathBytes(name));
    await syncFile(own.fd);
  }
}

const syncFile = promisify(fsync);

function pathBytes(name: string): Buffer {
  return Buffer.from(name.replace(/^\/+/, ""), "latin1");
}

interface OpenFolder extends Disposable {
  readonly fd: number;
}

function openRoot(folder: string): OpenFolder {
  return disposable(openSync(folder, "r"));
}

function openFolder(rootFd: number, path: Buffer): OpenFolder {
  return disposable(openDirectoryInside(rootFd, path));
}

function disposable(fd: number): OpenFolder {
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}

function firstFolder(roots: readonly OpenFolder[], path: Buffer): OpenFolder | undefined {
  for (const root of roots) {
    try {
      return openFolder(root.fd, path);
    } catch (error) {
      const errno = errnoOf(error);
      // There the folder was replaced, by a whiteout for one: what is further below does not count.
      if (errno === "ENOTDIR" || errno === "ELOOP") return undefined;
      if (errno !== "ENOENT") throw error;
    }
  }
  return undefined;
}

function copyLooks(from: number, to: number): void {
  const stat = fstatSync(from, { bigint: true });
  fchownSync(to, Number(stat.uid), Number(stat.gid));
  fchmodSync(to, Number(stat.mode) & 0o7777);
  for (const [name, value] of attributesOf(from)) {
    if (!isReserved(name)) setAttributeOf(to, name, value);
  }
  setTimesOf(to, timeOf(stat.atimeNs), timeOf(stat.mtimeNs));
}

function timeOf(time: bigint): FileTime {
  const { seconds, nanos } = splitNanos(time);
  return { seconds: Number(seconds), nanos };
}
