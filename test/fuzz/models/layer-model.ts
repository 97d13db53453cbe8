// SPDX-License-Identifier: Apache-2.0

// Layers put on top of each other, in memory and slowly: what the folder must hold that has them all.

export interface Member {
  readonly type: "file" | "directory" | "symlink" | "hardlink" | "fifo";
  readonly name: string;
  readonly link: string;
  readonly mode: number;
  readonly content: string;
}

interface Inode {
  readonly type: "file" | "directory" | "symlink" | "fifo";
  mode: number;
  /** Of a file its content, of a symbolic link where it leads. */
  readonly text: string;
  readonly below: Map<string, Entry>;
}

interface Entry {
  inode: Inode;
  /** The layer at hand has a member here. */
  isOwn: boolean;
}

type Folder = readonly Entry[];

export class Refused extends Error {}

/** What this model does not tell: hard links to what comes later. */
export class Unknown extends Error {}

export class LayerModel {
  #root: Entry = { inode: folder(), isOwn: false };
  #emptied = new Set<Inode>();

  /** Throws Refused where the layer as a whole must be. */
  apply(layer: readonly Member[]): void {
    disown(this.#root);
    this.#emptied = new Set();
    for (const member of layer) this.#member(member);
  }

  /** A line for each thing, sorted. */
  lines(): string[] {
    const lines: string[] = [];
    const list = (entry: Entry, at: string): void => {
      for (const [name, below] of entry.inode.below) {
        const { type, mode, text } = below.inode;
        lines.push(describe(`${at}/${name}`, type, mode, text));
        list(below, `${at}/${name}`);
      }
    };
    list(this.#root, "");
    return lines.toSorted();
  }

  #member({ type, name, link, mode, content }: Member): void {
    const parts = clean(name);
    const base = parts.pop();
    if (base === undefined) return;
    if (parts.some((part) => part.startsWith(".wh..wh."))) return;
    if (parts.some((part) => part.startsWith(".wh."))) throw new Refused("below a whiteout");
    if (base.startsWith(".wh..wh.")) {
      if (base === ".wh..wh..opq") this.#empty(last(this.#walk(parts)));
      return;
    }
    const parent = last(this.#walk(parts)).inode.below;
    if (base.startsWith(".wh.")) {
      const deleted = base.slice(4);
      if (["", ".", ".."].includes(deleted)) throw new Refused("a hostile whiteout");
      this.#removeOlder(parent, deleted);
      return;
    }
    const existing = parent.get(base);
    if (type === "directory" && existing?.inode.type === "directory") {
      existing.inode.mode = mode;
      existing.isOwn = true;
      return;
    }
    if (type === "hardlink") {
      const target = this.#linked(link);
      if (target.below === parent && target.base === base) {
        target.entry.isOwn = true;
        return;
      }
      parent.delete(base);
      this.#linked(link); // what was in its place may have been on the way
      target.entry.inode.mode = mode;
      parent.set(base, { inode: target.entry.inode, isOwn: true });
      return;
    }
    parent.delete(base);
    if (type === "symlink" && link === "") throw new Refused("a link to nothing");
    const text = type === "file" ? content : type === "symlink" ? link : "";
    parent.set(base, { inode: { type, mode, text, below: new Map() }, isOwn: true });
  }

  #linked(link: string): { below: Map<string, Entry>; base: string; entry: Entry } {
    const parts = link.split("/").filter((part) => part !== "" && part !== ".");
    const base = parts.pop();
    if (base === undefined || base === "..") throw new Refused("a link to a folder");
    const { below } = last(this.#walk(parts, false)).inode;
    const entry = below.get(base);
    if (entry === undefined || entry.inode.type === "directory") throw new Unknown("no file");
    return { below, base, entry };
  }

  /** The folders on the way to a path, following links, making what is missing. */
  #walk(parts: readonly string[], makes = true): Folder {
    let way: Folder = [this.#root];
    const todo = [...parts];
    let links = 0;
    while (todo.length > 0) {
      const part = todo.shift() ?? "";
      if (part === "" || part === ".") continue;
      if (part === "..") {
        if (way.length > 1) way = way.slice(0, -1);
        continue;
      }
      const { below } = last(way).inode;
      if (!makes && !below.has(part)) throw new Unknown("no folder");
      const next = below.get(part) ?? { inode: folder(), isOwn: false };
      below.set(part, next);
      if (next.inode.type === "symlink") {
        links += 1;
        if (links > 40) throw new Refused("a loop of links");
        const target = next.inode.text;
        if (target.startsWith("/")) way = [this.#root];
        todo.unshift(...target.split("/"));
        continue;
      }
      if (next.inode.type !== "directory") {
        throw makes ? new Refused("a file in the way") : new Unknown("no folder");
      }
      way = [...way, next];
    }
    return way;
  }

  /** Once a layer, of what it has not put there. */
  #empty({ inode }: Entry): void {
    if (this.#emptied.has(inode)) return;
    this.#emptied.add(inode);
    for (const name of inode.below.keys()) this.#removeOlder(inode.below, name);
  }

  #removeOlder(below: Map<string, Entry>, name: string): void {
    const entry = below.get(name);
    if (entry === undefined) return;
    if (!hasOwn(entry)) below.delete(name);
    else if (entry.inode.type === "directory") this.#empty(entry);
  }
}

export function describe(path: string, type: string, mode: number, text: string): string {
  // Links have the mode that the system gives all of them.
  return `${path} ${type} ${type === "symlink" ? "" : mode.toString(8)} ${text}`;
}

function folder(): Inode {
  return { type: "directory", mode: 0o755, text: "", below: new Map() };
}

function last(way: Folder): Entry {
  const [at] = way.slice(-1);
  if (at === undefined) throw new Error("no way");
  return at;
}

function hasOwn(entry: Entry): boolean {
  return entry.isOwn || [...entry.inode.below.values()].some(hasOwn);
}

function disown(entry: Entry): void {
  entry.isOwn = false;
  for (const below of entry.inode.below.values()) disown(below);
}

function clean(name: string): string[] {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "..") {
      parts.pop(); // above the root is the root
    } else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts;
}
