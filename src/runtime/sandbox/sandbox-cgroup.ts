// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../base/errors.ts";
import type { MountEntry } from "../../base/os/mountinfo.ts";
import { sleep } from "../../base/timers.ts";
import { cgroupPathOf } from "../../metrics/cgroup/cgroup-layout.ts";
import { type ScopeName, scopeName } from "../../oci/scope-name.ts";

export interface CgroupFolder {
  readonly folder: string;
  /** v1's controllers and names of this hierarchy, `cpuset`, `name=systemd`; empty with v2. */
  readonly controllers: readonly string[];
}

/** The cgroup of one sandbox: a folder in each hierarchy of v1, or the one of v2. */
export class SandboxCgroup {
  readonly isUnified: boolean;
  readonly places: readonly CgroupFolder[];
  /** The unit of systemd's that it is; undefined for one that is made here. */
  readonly scope: ScopeName | undefined;

  /** The cgroup that a spec names, whether it is there or not. `mounts` are those of the hierarchies. */
  constructor(cgroupsPath: string, mounts: readonly MountEntry[]) {
    this.scope = scopeName(cgroupsPath);
    const place = cgroupPathOf(cgroupsPath);
    const separate = mounts.filter(({ type }) => type === "cgroup");
    this.isUnified = separate.length === 0;
    this.places = (this.isUnified ? mounts : separate).map((mount) => ({
      folder: path.join(mount.mountPoint, path.relative(mount.root, place)),
      controllers: this.isUnified ? [] : mount.superOptions,
    }));
  }

  get folders(): readonly string[] {
    return this.places.map(({ folder }) => folder);
  }

  /** The folder of a controller of v1, or that of v2. */
  folderOf(controller: string): string | undefined {
    if (this.isUnified) return this.places[0]?.folder;
    return this.places.find(({ controllers }) => controllers.includes(controller))?.folder;
  }

  /** Makes it as OCI runtimes do, its parents included. `shares` is a share of processor time as v1 counts it. */
  async make(shares: number | undefined): Promise<void> {
    if (this.isUnified) await this.#makeUnified();
    else await Promise.all(this.places.map(makeSeparate));
    const cpu = this.folderOf("cpu");
    if (shares === undefined || cpu === undefined) return;
    if (!this.isUnified) return writeFile(path.join(cpu, "cpu.shares"), String(shares));
    // runc's way from 2…262144 to 1…10000. Without the controller there is no such file.
    const weight = 1 + Math.floor(((shares - 2) * 9999) / 262_142);
    await writeFile(path.join(cpu, "cpu.weight"), String(weight), { flag: "r+" }).catch(() => {});
  }

  /**
   * Takes a process into one whose folder systemd has made, with what systemd does not make: the controllers that it
   * does not know.
   */
  async adopt(pid: number): Promise<void> {
    if (this.isUnified) return this.#makeUnified();
    await Promise.all(
      this.places
        .filter(({ controllers }) => !controllers.includes("name=systemd"))
        .map(async (place) => {
          await makeSeparate(place);
          await writeFile(path.join(place.folder, "cgroup.procs"), String(pid), { flag: "r+" });
        }),
    );
  }

  /**
   * By which steps the helper brings a process there. It has one thread, which moves itself by `tasks`: by `cgroup.procs`
   * the kernel would wait, in each hierarchy of v1, until nobody starts or ends a process, and let nobody do so meanwhile.
   */
  get steps(): readonly string[] {
    if (this.isUnified) return this.places.flatMap(({ folder }) => ["c", folder]);
    return this.places.flatMap(({ folder }) => ["j", path.join(folder, "tasks")]);
  }

  /** The processes in it. */
  async pids(): Promise<number[]> {
    const folder = this.folderOf("pids") ?? this.places[0]?.folder ?? "";
    const text = await readFile(path.join(folder, "cgroup.procs"), "utf8").catch(() => "");
    return text
      .split("\n")
      .map(Number)
      .filter((pid) => pid > 0);
  }

  /** Freezes it, or lets it go on, and waits until that is so. */
  async freeze(isFrozen: boolean): Promise<void> {
    const folder = this.folderOf("freezer");
    if (folder === undefined) throw new Error("there is no freezer");
    if (this.isUnified) {
      await writeFile(path.join(folder, "cgroup.freeze"), isFrozen ? "1" : "0", { flag: "r+" });
      return;
    }
    const file = path.join(folder, "freezer.state");
    const wanted = isFrozen ? "FROZEN" : "THAWED";
    await writeFile(file, wanted, { flag: "r+" });
    for (let waits = 0; waits < 50; waits += 1) {
      if ((await readFile(file, "utf8")).trim() === wanted) return;
      await sleep(1);
    }
  }

  async isFrozen(): Promise<boolean> {
    const folder = this.folderOf("freezer") ?? "";
    const name = this.isUnified ? "cgroup.freeze" : "freezer.state";
    const text = await readFile(path.join(folder, name), "utf8").catch(() => "");
    return /^(?:1|FROZEN|FREEZING)$/m.test(text);
  }

  /** A cgroup gives its children those controllers only that it is told to. */
  async #makeUnified(): Promise<void> {
    for (const { folder } of this.places) {
      await mkdir(folder, { recursive: true });
      for (const parent of await parentsOf(folder, "cgroup.subtree_control")) {
        const all = await readFile(path.join(parent, "cgroup.controllers"), "utf8");
        for (const name of all.split(/\s+/).filter(Boolean)) {
          const file = path.join(parent, "cgroup.subtree_control");
          await writeFile(file, `+${name}`, { flag: "r+" }).catch(() => {}); // held by others, or not to be given
        }
      }
    }
  }
}

async function makeSeparate({ folder, controllers }: CgroupFolder): Promise<void> {
  await mkdir(folder, { recursive: true });
  if (!controllers.includes("cpuset")) return;
  // A new one has no processors and no memory, and takes no process: it gets its parent's.
  await Promise.all(["cpuset.cpus", "cpuset.mems"].map((name) => inherit(folder, name)));
}

/** Answers what a cgroup has in a file, which it takes from those above where it has nothing. "" where none has it. */
async function inherit(folder: string, name: string): Promise<string> {
  const file = path.join(folder, name);
  const own = await readFile(file, "utf8").catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return undefined; // the folder of the hierarchies
    throw error;
  });
  if (own === undefined) return "";
  if (own.trim() !== "") return own.trim();
  const above = await inherit(path.dirname(folder), name);
  if (above !== "") await writeFile(file, above, { flag: "r+" });
  return above;
}

/** The cgroups above one that have this file, from the top. */
async function parentsOf(folder: string, file: string): Promise<string[]> {
  const parents: string[] = [];
  for (let place = path.dirname(folder); place !== "/"; place = path.dirname(place)) {
    const isCgroup = await readFile(path.join(place, file)).then(
      () => true,
      () => false,
    );
    if (!isCgroup) break;
    parents.unshift(place);
  }
  return parents;
}
