// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { FileTime } from "../../base/os/inode.ts";

/**
 * How many names an extraction may remember at once: each costs up to half a KiB of the process's heap. No image that
 * people make comes near.
 */
export const maxRemembered = 1_000_000;

/** A name in the tree that the extraction remembers: a folder it has been in, or a member it must not lose. */
export interface Known {
  /** One character a byte. */
  readonly name: string;
  readonly parent: Known | undefined;
  below: Map<string, Known> | undefined;
  /** A real folder: it need not be looked at again. */
  isFolder: boolean;
  /** A folder without a member of its own. */
  isImplicit: boolean;
  /** The layer has a member here. Set where other layers' files lie in the same tree. */
  isOwn: boolean;
  /** Members of the layer at this name and below it. */
  own: number;
  /** The folder holds nothing any more but what the layer itself put there. */
  isEmptied: boolean;
  /** A folder's time, set last, since every file put into it changes it. */
  time: FileTime | undefined;
}

/** The names that an extraction remembers, as a tree: a folder is forgotten with all that is below it. */
export class KnownFolders {
  readonly root: Known = { ...known("", undefined), isFolder: true, isImplicit: true };
  readonly #limit: number;
  #count = 1;

  constructor(limit = maxRemembered) {
    this.#limit = limit;
  }

  /** Remembers a name in a folder and answers it. RESOURCE_EXHAUSTED when there are too many. */
  remember(folder: Known, name: string): Known {
    const found = folder.below?.get(name);
    if (found) return found;
    if (this.#count >= this.#limit) {
      throw fault("RESOURCE_EXHAUSTED", `layer has too many folders: more than ${this.#limit}`);
    }
    this.#count += 1;
    const made = known(name, folder);
    folder.below ??= new Map();
    folder.below.set(name, made);
    return made;
  }

  /** Marks a member of the layer. */
  own(at: Known): void {
    if (at.isOwn) return;
    at.isOwn = true;
    for (let above: Known | undefined = at; above; above = above.parent) above.own += 1;
  }

  /** Forgets a name and all below it. */
  forget(folder: Known, name: string): void {
    const gone = folder.below?.get(name);
    if (!gone) return;
    folder.below?.delete(name);
    for (let above: Known | undefined = folder; above; above = above.parent) above.own -= gone.own;
    this.#count -= walk(gone).reduce((count) => count + 1, 0);
  }
}

/** A known name and all below it, parents first. */
export function* walk(from: Known): Generator<Known, void, undefined> {
  const pending = [from];
  for (let at = pending.pop(); at; at = pending.pop()) {
    yield at;
    for (const below of at.below?.values() ?? []) pending.push(below);
  }
}

/** Path of a known name; "" for the root. */
export function pathOf(at: Known): string {
  const names: string[] = [];
  for (let up = at; up.parent; up = up.parent) names.push(up.name);
  return names.length === 0 ? "" : `/${names.reverse().join("/")}`;
}

function known(name: string, parent: Known | undefined): Known {
  return {
    name,
    parent,
    below: undefined,
    isFolder: false,
    isImplicit: false,
    isOwn: false,
    own: 0,
    isEmptied: false,
    time: undefined,
  };
}
