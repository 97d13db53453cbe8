// SPDX-License-Identifier: Apache-2.0
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";

/**
 * The surroundings of a parser: its working folder, and beside it things that nobody may touch. A path with too
 * many `..` in it comes to them first.
 */
export class Canary {
  /** Where the parser works. */
  readonly inside: string;
  readonly #outer: string;
  #looks: string;

  /** Makes them below `folder`, which is empty. */
  constructor(folder: string) {
    this.#outer = folder;
    this.inside = path.join(folder, "inside");
    mkdirSync(this.inside);
    this.#make();
    this.#looks = this.#look();
  }

  /** Throws when something outside the working folder was made, changed or removed, after mending it. */
  async check(): Promise<void> {
    const wanted = this.#looks;
    const looks = this.#look();
    if (looks === wanted) return;
    for (const name of readdirSync(this.#outer)) {
      if (name !== "inside") await rm(path.join(this.#outer, name), { recursive: true });
    }
    this.#make();
    this.#looks = this.#look();
    throw new Error(`written outside the working folder:\nwas ${wanted}\nis  ${looks}`);
  }

  #make(): void {
    mkdirSync(path.join(this.#outer, "kept"));
    for (const name of ["canary", "kept/canary"]) {
      writeFileSync(path.join(this.#outer, name), "nobody writes here", { mode: 0o640 });
    }
  }

  #look(): string {
    const things = readdirSync(this.#outer);
    const kept = readdirSync(path.join(this.#outer, "kept")).map((name) => `kept/${name}`);
    return [...things, ...kept]
      .toSorted((a, b) => (a < b ? -1 : 1))
      .map((name) => this.#lookOf(name))
      .join(", ");
  }

  #lookOf(name: string): string {
    const file = path.join(this.#outer, name);
    const { ino, mode, uid, gid, size, nlink, mtimeMs } = lstatSync(file);
    // What the parser makes in its own folder shows in that one's length and time.
    if (name === "inside") return [name, ino, mode, uid, gid].join(" ");
    const text = name.endsWith("canary") ? readFileSync(file, "latin1") : "";
    return [name, ino, mode, uid, gid, size, nlink, mtimeMs, text].join(" ");
  }
}
