// SPDX-License-Identifier: Apache-2.0
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { fault } from "../../base/errors.ts";
import { type FileTime, setAttribute, setTimes } from "../../base/os/inode.ts";

const maxLinks = 40;

/**
 * The folder tree that a layer is extracted into. Runs inside a chroot, so "/" is the layer's root
 * and no link leads out of it. Paths are bytes, one character each; "" is the root.
 */
export class LayerTree {
  /** Folders that the layer has no member for: their looks come from the layers below, later. */
  readonly implicit = new Set<string>([""]);
  /** Folders whose time is set last, since every file put into them changes it. */
  readonly #times = new Map<string, FileTime>();
  /** What this layer has a member for, where others' files lie in the same tree. */
  readonly #own = new Set<string>();
  /** Where a folder path led to, links followed. */
  readonly #resolved = new Map<string, string>();

  /** Follows a folder path, making what is missing. INVALID_ARGUMENT for a file in the way. */
  folder(parts: readonly string[]): string {
    const key = parts.join("/");
    const known = this.#resolved.get(key);
    if (known !== undefined) return known;
    let at = "";
    let links = 0;
    const pending = [...parts];
    for (let part = pending.shift(); part !== undefined; part = pending.shift()) {
      if (part === "" || part === ".") continue;
      if (part === "..") {
        at = at.slice(0, Math.max(at.lastIndexOf("/"), 0));
        continue;
      }
      const next = `${at}/${part}`;
      const stat = this.stat(next);
      if (stat?.isSymbolicLink()) {
        links += 1;
        if (links > maxLinks) throw fault("INVALID_ARGUMENT", `too many links in "/${key}"`);
        const target = readlinkSync(osPath(next), { encoding: "latin1" });
        if (target.startsWith("/")) at = "";
        pending.unshift(...target.split("/"));
      } else {
        if (stat === undefined || isWhiteout(stat)) {
          this.makeFolder(next, stat);
          this.implicit.add(next);
        } else if (!stat.isDirectory()) {
          throw fault("INVALID_ARGUMENT", `layer puts a file below "${next}", which is no folder`);
        }
        at = next;
      }
    }
    this.#resolved.set(key, at);
    return at;
  }

  stat(at: string): Stats | undefined {
    return lstatSync(osPath(at), { throwIfNoEntry: false });
  }

  /** Makes a folder, in place of a whiteout when there is one: then it hides what was below. */
  makeFolder(at: string, existing: Stats | undefined): void {
    if (existing) unlinkSync(osPath(at));
    mkdirSync(osPath(at), 0o755);
    if (existing) this.makeOpaque(at);
  }

  makeOpaque(at: string): void {
    setAttribute(bytesOf(at), "trusted.overlay.opaque", Buffer.from("y"));
  }

  /** Remembers that a member of this layer is there. */
  own(at: string): void {
    this.#own.add(at);
  }

  /** Removes a file, or a folder with all in it, but for what members of this layer have put there. */
  removeOlder(at: string, existing: Stats): void {
    const isKept = this.#own.has(at);
    if (existing.isDirectory() && (isKept || this.#hasOwnBelow(at))) this.emptyOlder(at);
    else if (!isKept) this.clear(at, existing);
  }

  /** Removes from a folder what no member of this layer has put there. */
  emptyOlder(folder: string): void {
    for (const name of readdirSync(bytesOf(folder), { encoding: "latin1" })) {
      const at = `${folder}/${name}`;
      const stat = this.stat(at);
      if (stat) this.removeOlder(at, stat);
    }
  }

  #hasOwnBelow(folder: string): boolean {
    return Iterator.from(this.#own).some((at) => at.startsWith(`${folder}/`));
  }

  /** Removes what an earlier member of this layer put there. */
  clear(at: string, existing: Stats): void {
    if (!existing.isDirectory()) {
      unlinkSync(osPath(at));
      if (existing.isSymbolicLink()) this.#resolved.clear();
      return;
    }
    rmSync(osPath(at), { recursive: true });
    this.#resolved.clear();
    for (const folder of [...this.#times.keys(), ...this.implicit]) {
      if (folder !== at && !folder.startsWith(`${at}/`)) continue;
      this.#times.delete(folder);
      this.implicit.delete(folder);
    }
  }

  /** Remembers a folder's time until all files are in. */
  setTimeLater(at: string, time: FileTime): void {
    this.#times.set(at, time);
  }

  finishTimes(): void {
    for (const [at, time] of this.#times) setTimes(bytesOf(at), time, time);
  }
}

export function isWhiteout(stat: Stats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0;
}

/** A path as Node's fs takes it: most are ASCII, and strings are quicker than bytes. */
export function osPath(at: string): string | Buffer {
  if (at === "") return "/";
  for (let index = 0; index < at.length; index += 1) {
    if (at.charCodeAt(index) > 0x7f) return bytesOf(at);
  }
  return at;
}

export function bytesOf(at: string): Buffer {
  return Buffer.from(at === "" ? "/" : at, "latin1");
}
