// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import path from "node:path";
import { cgroupMounts } from "../../base/os/mount-table.ts";
import type { MountEntry } from "../../base/os/mountinfo.ts";
import { parseCgroups } from "../../base/os/proc-cgroup.ts";

/** Where one container's cgroup files are. */
export type CgroupPaths =
  | { readonly version: 2; readonly folder: string }
  | { readonly version: 1; readonly folders: Readonly<Record<string, string>> };

interface Hierarchy {
  readonly mountPoint: string;
  /** Folder of the hierarchy that the mount shows as its top; "/" but in nested containers. */
  readonly root: string;
}

/** How this host mounts its cgroups. Read once: it does not change while a host runs. */
export class CgroupLayout {
  readonly version: 1 | 2;
  readonly #unified: Hierarchy | undefined;
  readonly #controllers: ReadonlyMap<string, Hierarchy>;

  constructor(mounts: readonly MountEntry[]) {
    const controllers = new Map<string, Hierarchy>();
    let unified: Hierarchy | undefined;
    for (const { type, mountPoint, root, superOptions } of mounts) {
      if (type === "cgroup2") unified ??= { mountPoint, root };
      if (type !== "cgroup") continue;
      for (const option of superOptions) {
        if (isController(option) && !controllers.has(option)) {
          controllers.set(option, { mountPoint, root });
        }
      }
    }
    // Beside v1 controllers the v2 tree is there for systemd only: it counts nothing.
    this.version = controllers.size === 0 ? 2 : 1;
    this.#unified = unified;
    this.#controllers = controllers;
  }

  static async read(): Promise<CgroupLayout> {
    return new CgroupLayout(await cgroupMounts());
  }

  /** The cgroup that an OCI spec's `linux.cgroupsPath` names: a path, or systemd's `slice:prefix:name`. */
  locate(cgroupsPath: string): CgroupPaths {
    const relative = cgroupPathOf(cgroupsPath);
    return this.#paths(() => relative);
  }

  /** True when the host counts by this controller. Reads the tree's top on a unified host. */
  async has(controller: string): Promise<boolean> {
    if (this.version === 1) return this.#controllers.has(controller);
    const { mountPoint } = this.#unified ?? { mountPoint: "/sys/fs/cgroup" };
    const text = await readFile(path.join(mountPoint, "cgroup.controllers"), "utf8");
    return text.trim().split(" ").includes(controller);
  }

  /**
   * The cgroup that a process is in; NOT right for an init that made cgroups below its own and moved.
   * Throws ENOENT when there is no such process.
   */
  async locateProcess(pid: number): Promise<CgroupPaths> {
    const own = parseProcCgroup(await readFile(`/proc/${pid}/cgroup`, "utf8"));
    return this.#paths((controller) => path.posix.normalize(own.get(controller) ?? "/"));
  }

  #paths(relativeFor: (controller: string) => string): CgroupPaths {
    if (this.version === 2) {
      const hierarchy = this.#unified ?? { mountPoint: "/sys/fs/cgroup", root: "/" };
      return { version: 2, folder: below(hierarchy, relativeFor("")) };
    }
    const folders: Record<string, string> = {};
    for (const [controller, hierarchy] of this.#controllers) {
      folders[controller] = below(hierarchy, relativeFor(controller));
    }
    return { version: 1, folders };
  }
}

/** Controllers of /proc/PID/cgroup and their paths; "" is the v2 tree. */
export function parseProcCgroup(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const { controllers, place } of parseCgroups(text)) {
    for (const controller of controllers.split(",")) paths.set(controller, place);
  }
  return paths;
}

/** The path below its hierarchy's top of the cgroup that an OCI spec, or a pod's cgroup_parent, names. */
export function cgroupPathOf(cgroupsPath: string): string {
  if (cgroupsPath.startsWith("/")) return path.posix.normalize(cgroupsPath); // never above the hierarchy's top
  if (cgroupsPath.includes(":")) return scopePath(cgroupsPath);
  return cgroupsPath.endsWith(".slice")
    ? path.posix.join("/", expandSlice(cgroupsPath))
    : path.posix.join("/", cgroupsPath);
}

/** `a-b.slice:prefix:name` → /a.slice/a-b.slice/prefix-name.scope; an empty slice is system.slice. */
function scopePath(cgroupsPath: string): string {
  const [slice = "", prefix = "", name = ""] = cgroupsPath.split(":");
  const scope = name.endsWith(".slice") ? name : `${prefix}-${name}.scope`;
  return path.posix.join("/", expandSlice(slice === "" ? "system.slice" : slice), scope);
}

function expandSlice(slice: string): string {
  if (slice === "-.slice") return "/";
  const parts = slice.replace(/\.slice$/, "").split("-");
  return parts.map((_part, index) => `${parts.slice(0, index + 1).join("-")}.slice`).join("/");
}

/** `relative` begins with "/" and is normalized: a round of stats asks for some thousand of these. */
function below({ mountPoint, root }: Hierarchy, relative: string): string {
  const inside =
    root !== "/" && (relative === root || relative.startsWith(`${root}/`))
      ? relative.slice(root.length)
      : relative;
  if (inside === "" || inside === "/") return mountPoint;
  return mountPoint === "/" ? inside : mountPoint + inside;
}

/** Super options of a v1 mount are flags, `name=systemd`, and the controllers. */
function isController(option: string): boolean {
  return (
    /^[a-z_]+$/.test(option) && !["rw", "ro", "xattr", "clone_children", "none"].includes(option)
  );
}
