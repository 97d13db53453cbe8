// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { cgroupMounts } from "../cgroups.ts";
import { must, type RunOptions } from "../run.ts";
import { GivenUp, until } from "../until.ts";

/**
 * A machine in the machine: network, mounts, processes and host name of its own, with its own /run, /var/lib and
 * /var/log. All that runs in it ends with its first process, and that with the test's process, even one that is killed;
 * its links, rules and mounts are the kernel's to remove then.
 */
export interface Box extends AsyncDisposable {
  readonly name: string;
  /** Its first process, as the host counts them. */
  readonly pid: number;
  /** What runs a program in it. */
  inside(argv: readonly string[]): string[];
  must(program: string, args: readonly string[], options?: RunOptions): Promise<string>;
  /** A path of the box as the host sees it. */
  seen(place: string): string;
}

// It takes in whose parent has ended, as an init does: dash reaps every child while it waits.
const firstProcess = `set -e
mount --make-rshared /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
mount --bind "$1/lib" /var/lib
mount --bind "$1/log" /var/log
hostname "$0"
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi
touch /run/box-is-up
while :; do sleep 1000 & wait; done
`;

/** What a box is made of, where that is not a shell that only waits. */
export interface BoxKind {
  /** A script for sh, with the box's name and folder; it touches /run/box-is-up. */
  readonly firstProcess: string;
  /** Besides those that every box has. */
  readonly namespaces: readonly string[];
  /** All of it is in this cgroup, below each hierarchy's mount, which is there. */
  readonly cgroup: string;
}

/** Makes one whose files are below `folder`. */
export async function openBox(name: string, folder: string, kind?: BoxKind): Promise<Box> {
  for (const below of ["lib", "log"]) await mkdir(path.join(folder, below), { recursive: true });
  const namespaces = ["--pid", "--mount", "--net", "--uts", ...(kind?.namespaces ?? [])];
  const script = kind?.firstProcess ?? firstProcess;
  const unshare = ["unshare", "--fork", "--kill-child", ...namespaces];
  const shell = [...unshare, "sh", "-c", script, name, folder];
  const argv = kind === undefined ? shell : await inCgroup(kind.cgroup, shell);
  const said = openSync(path.join(folder, "box.log"), "a");
  const child = spawn("setpriv", ["--pdeathsig", "KILL", ...argv], {
    stdio: ["ignore", said, said],
    cwd: "/",
  });
  closeSync(said);
  const pid = await until(`${name} has its first process`, () => {
    if (child.exitCode !== null) throw new GivenUp(`${name}: unshare: exit ${child.exitCode}`);
    return onlyChildOf(child);
  });
  const inside = (words: readonly string[]): string[] => [
    "nsenter",
    `--target=${pid}`,
    ...namespaces,
    "--wd=/",
    "--",
    ...words,
  ];
  const seen = (place: string): string => path.join(`/proc/${pid}/root`, place);
  await until(`${name} is up`, () => {
    if (child.exitCode !== null)
      throw new GivenUp(`${name}: ${readFileSync(path.join(folder, "box.log"), "utf8")}`);
    return readFileSync(seen("/run/box-is-up")) !== undefined;
  });
  return {
    name,
    pid,
    inside,
    seen,
    must: (program, args, options) => {
      const [first = "", ...rest] = inside([program, ...args]);
      return must(first, rest, options);
    },
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, "exit");
      if (child.exitCode !== null || child.signalCode !== null) return;
      process.kill(pid, "SIGKILL");
      await gone;
    },
  };
}

/** `argv` as a child of a shell's that has entered it: it, and all that it starts, is there. */
async function inCgroup(cgroup: string, argv: readonly string[]): Promise<string[]> {
  const files = (await cgroupMounts()).map((mount) => `'${mount}${cgroup}/cgroup.procs'`);
  const enter = files.map((file) => `echo $$ >${file} && `).join("");
  return ["sh", "-c", `${enter}exec "$@"`, "sh", ...argv];
}

/** The one child of a program that waits for it; undefined while there is none. */
export function onlyChildOf({ pid = 0 }: ChildProcess): number | undefined {
  try {
    const [first = ""] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ");
    return Number(first) || undefined;
  } catch {
    return undefined;
  }
}
