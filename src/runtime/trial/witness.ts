// SPDX-License-Identifier: Apache-2.0
import { readlink } from "node:fs/promises";
import path from "node:path";
import { fault } from "../../base/errors.ts";
import { parseMountinfo } from "../../base/os/mountinfo.ts";
import { readStart } from "../../base/read-bounded.ts";
import { sleep } from "../../base/timers.ts";
import { ownCgroups } from "../death/leftover-processes.ts";

/** A file of /proc is no longer than this, for a container of ours. */
const maxBytes = 1024 * 1024;
const lookMs = 20;

/** How long one looks for what is to be there. */
export interface Sight {
  readonly seenMs: number;
  readonly signal: AbortSignal;
}

/** A mount that is to have an option, and those below it too. */
export interface TriedMount {
  /** In the container. */
  readonly at: string;
  /** As a spec has it, `rro` or `nosuid`; an "r" before it is for all below as well. */
  readonly option: string;
}

/** What a container of a trial has, as the kernel tells it. */
export interface Witnessed {
  /** Namespaces that are not the host's: "pid", "cgroup", … */
  readonly namespaces: readonly string[];
  /** Its system calls are filtered. */
  readonly seccomp: boolean;
  /** Options of the tried mounts that hold. */
  readonly mountOptions: readonly string[];
  /** Limits of its own cgroup: `memory`, `pids`, each with its value. */
  readonly limits: Readonly<Record<string, string>>;
}

interface Looked {
  readonly id: string;
  readonly cgroupsPath: string;
  readonly process: string;
  readonly mounts: readonly TriedMount[];
}

/** Looks at a started container. FAILED_PRECONDITION when its process is not the one that was asked for. */
export async function witness(
  pid: number,
  { id, cgroupsPath, process: program, mounts }: Looked,
  { seenMs, signal }: Sight,
): Promise<Witnessed> {
  const end = performance.now() + seenMs;
  while ((await link(`/proc/${pid}/exe`)) !== program) {
    if (performance.now() > end) {
      throw fault("FAILED_PRECONDITION", `its start does not run ${program}`);
    }
    await sleep(lookMs, { signal });
  }
  const status = await text(`/proc/${pid}/status`);
  return {
    namespaces: await namespacesOf(pid),
    seccomp: /^Seccomp:\s*2$/m.test(status),
    mountOptions: heldOptions(await text(`/proc/${pid}/mountinfo`), mounts),
    limits: await limitsOf(await ownCgroups(pid, id, cgroupsPath)),
  };
}

const namespaceFiles: Readonly<Record<string, string>> = {
  pid: "pid",
  ipc: "ipc",
  uts: "uts",
  mount: "mnt",
  network: "net",
  cgroup: "cgroup",
};

async function namespacesOf(pid: number): Promise<string[]> {
  const own: string[] = [];
  for (const [name, file] of Object.entries(namespaceFiles)) {
    const [its, ours] = await Promise.all([
      link(`/proc/${pid}/ns/${file}`),
      link(`/proc/self/ns/${file}`),
    ]);
    if (its !== "" && its !== ours) own.push(name);
  }
  return own;
}

function heldOptions(mountinfo: string, mounts: readonly TriedMount[]): string[] {
  const entries = parseMountinfo(mountinfo);
  return mounts
    .filter(({ at, option }) => {
      const isRecursive = option.startsWith("r") && option !== "ro";
      const flag = isRecursive ? option.slice(1) : option;
      const top = entries.filter(({ mountPoint }) => mountPoint === at);
      const below = entries.filter(({ mountPoint }) => mountPoint.startsWith(`${at}/`));
      const looked = isRecursive ? [...top, ...below] : top;
      return top.length > 0 && looked.every(({ options }) => options.includes(flag));
    })
    .map(({ option }) => option);
}

const limitFiles: Readonly<Record<string, readonly string[]>> = {
  memory: ["memory.max", "memory.limit_in_bytes"],
  pids: ["pids.max"],
};

async function limitsOf(folders: readonly string[]): Promise<Record<string, string>> {
  const limits: Record<string, string> = {};
  for (const folder of folders) {
    for (const [name, files] of Object.entries(limitFiles)) {
      for (const file of files) {
        const value = (await text(path.join(folder, file))).trim();
        if (value !== "") limits[name] = value;
      }
    }
  }
  return limits;
}

async function link(file: string): Promise<string> {
  return readlink(file).catch(() => "");
}

async function text(file: string): Promise<string> {
  return readStart(file, maxBytes).then(String, () => "");
}
