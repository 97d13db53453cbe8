// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../../src/base/process.ts";
import { allMounts } from "../../test/support/mounts.ts";
import {
  isOwnCgroup,
  isOwnLink,
  isOwnNetns,
  isOwnProcess,
  isOwnRule,
  isOwnTemporary,
  ownPath,
} from "./own-names.ts";

/** What a runtime can leave on a machine, one line a thing. */
export interface MachineState {
  /** Things whose names only Berth and its tests give: those that are there before are told. */
  readonly own: ReadonlySet<string>;
  /** Things of the same kinds that may be anybody's. */
  readonly others: ReadonlySet<string>;
}

export async function machineState(): Promise<MachineState> {
  const things = [
    ...processes(),
    ...(await allMounts()).map(({ mountPoint }) =>
      thing(`mount ${mountPoint}`, ownPath.test(mountPoint)),
    ),
    ...cgroups("/sys/fs/cgroup", "", 0),
    ...list("/sys/class/net").map((name) => thing(`link ${name}`, isOwnLink(name))),
    ...list("/run/netns").map((name) => thing(`netns ${name}`, isOwnNetns(name))),
    ...shimSockets(),
    ...["/tmp", "/var/tmp", "/dev/shm"].flatMap((folder) =>
      list(folder)
        .filter(isOwnTemporary)
        .map((name) => thing(`file ${path.join(folder, name)}`, true)),
    ),
    ...loopDevices(),
    ...list("/run/containerd/runc").flatMap((namespace) =>
      list(`/run/containerd/runc/${namespace}`).map((id) =>
        thing(`state of runc ${namespace}/${id}`, false),
      ),
    ),
    ...(await iptables("iptables-save")),
    ...(await iptables("ip6tables-save")),
  ];
  const named = (isOwn: boolean): Set<string> =>
    new Set(things.filter((each) => each.isOwn === isOwn).map(({ line }) => line));
  return { own: named(true), others: named(false) };
}

/**
 * What the tests left, one line a thing. What was there when they began is not theirs: it says that an earlier run was
 * cut short, and nothing about this one.
 */
export function leftovers(before: MachineState, now: MachineState): string[] {
  const isNew = (line: string): boolean => !before.own.has(line) && !before.others.has(line);
  return [...now.own, ...now.others].filter(isNew).map((line) => `left behind: ${line}`);
}

/** What is there and must not be; waits a little for what ends by itself. */
export async function leftSince(before: MachineState): Promise<string[]> {
  let left: string[] = [];
  for (let attempt = 0; attempt < 20; attempt += 1) {
    left = leftovers(before, await machineState());
    if (left.length === 0) return left;
    await sleep(500);
  }
  return left;
}

interface Thing {
  readonly line: string;
  readonly isOwn: boolean;
}

function thing(line: string, isOwn: boolean): Thing {
  return { line, isOwn };
}

function processes(): Thing[] {
  return list("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const argv = text(`/proc/${pid}/cmdline`).split("\0");
      const line = `process ${pid}: ${argv.join(" ").trim().slice(0, 160)}`;
      if (isOwnProcess(argv)) return [thing(line, true)];
      return /containerd-shim|docker-registry/.test(argv[0] ?? "") ? [thing(line, false)] : [];
    });
}

/** Cgroups of pods; those of the machine's own services come and go. */
function cgroups(mount: string, place: string, depth: number): Thing[] {
  if (depth > 10) return [];
  try {
    return readdirSync(mount + place, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap(({ name }) => {
        const inner = `${place}/${name}`;
        const isOwn = isOwnCgroup(inner);
        const line = `cgroup ${mount}${inner}`;
        const own = isOwn || /[0-9a-f]{64}/.test(name) ? [thing(line, isOwn)] : [];
        return [...own, ...cgroups(mount, inner, depth + 1)];
      });
  } catch {
    return []; // removed while we looked
  }
}

/** Their names tell nothing. One that nobody listens on any more is rubbish, whoever left it. */
function shimSockets(): Thing[] {
  const folder = "/run/containerd/s";
  const names = list(folder);
  if (names.length === 0) return [];
  const open = text("/proc/net/unix");
  return names.map((name) =>
    thing(`shim socket ${name}`, !open.includes(`${path.join(folder, name)}\n`)),
  );
}

function loopDevices(): Thing[] {
  return list("/sys/block").flatMap((name) => {
    const backing = text(`/sys/block/${name}/loop/backing_file`).trim();
    return backing === ""
      ? []
      : [thing(`loop device ${name} of ${backing}`, ownPath.test(backing))];
  });
}

/** What CNI plugins make for one container. Those chains that portmap makes once for all stay by its design. */
async function iptables(program: string): Promise<Thing[]> {
  try {
    const { stdout } = await run(program, []);
    return stdout
      .toString()
      .split("\n")
      .flatMap((line) => {
        const chain = /^:(CNI-\S+)/.exec(line)?.[1];
        const isForAll = /^CNI-(HOSTPORT-(DNAT|MASQ|SETMARK)|FORWARD|ADMIN)$/.test(chain ?? "");
        if (chain !== undefined && !isForAll) return [thing(`${program}: chain ${chain}`, false)];
        return isOwnRule(line) ? [thing(`${program}: ${line}`, true)] : [];
      });
  } catch {
    return []; // no iptables, or not root
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function text(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // gone meanwhile
  }
}
