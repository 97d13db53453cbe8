// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { isOver, statFields } from "../../base/os/proc.ts";
import { argumentsOf } from "../../base/os/process-scan.ts";
import type { Patient } from "../patient.ts";

/** With more processes than can be looked at in this time nothing is taken for left. */
const longestMs = 8_000;
const otherRuntimes =
  /^(containerd|containerd-shim.*|conmon|crio|dockerd|cri-dockerd|podman|k3s.*|rke2.*)$/;
const ids = /[0-9a-f]{64}/g;

/** A process of the node, as far as its links and short files tell. */
export interface Seen {
  readonly pid: number;
  readonly parent: number;
  /** At most 15 bytes. */
  readonly name: string;
  /** Its working folder and open files; none of one in another mount namespace, whose paths are others. */
  readonly files: readonly string[];
  /** In the names of its cgroups. */
  readonly ids: ReadonlySet<string>;
  /** The inode of its network namespace. */
  readonly netns: number;
  /** Of shims and of what may be a berthd, in our namespace of pids; else undefined. */
  readonly argv: readonly string[] | undefined;
  /** A runtime, a shim or a monitor of one, that was not started for our socket. */
  readonly isOthers: boolean;
  readonly isOurShim: boolean;
  readonly isBerthd: boolean;
}

export interface Scan {
  readonly seen: readonly Seen[];
  readonly isWhole: boolean;
}

/** Looks at all processes but this one. Only links and files that take no lock of a process are read, but of our own programs. */
export async function scanProcesses({ host, socket }: Patient): Promise<Scan> {
  const proc = host.at("/proc");
  const until = performance.now() + longestMs;
  const own = { pids: linkOf(`${proc}/self/ns/pid`), mounts: linkOf(`${proc}/self/ns/mnt`) };
  const seen: Seen[] = [];
  for (const name of await host.names("/proc")) {
    if (!/^\d+$/.test(name) || (host.isOurs && Number(name) === process.pid)) continue;
    if (performance.now() > until) return { seen, isWhole: false };
    const place = `${proc}/${name}`;
    const stat = textOf(`${place}/stat`);
    const fields = statFields(stat);
    if (isOver(fields)) continue;
    const comm = textOf(`${place}/comm`).trim();
    const isNear = linkOf(`${place}/ns/pid`) === own.pids;
    const isProgram = /node|berth|MainThread/i.test(comm);
    const isShim = comm.startsWith("containerd-shim");
    const asks = isNear && (isProgram || isShim || linkOf(`${place}/cwd`).includes(".v2.task/"));
    const argv = asks ? await argumentsOf({ pid: Number(name) }, { proc }) : undefined;
    const isOurShim = argv !== undefined && argv[argv.indexOf("-address") + 1] === socket;
    seen.push({
      pid: Number(name),
      parent: Number(fields[1]),
      name: comm,
      files: linkOf(`${place}/ns/mnt`) === own.mounts ? filesOf(place) : [],
      ids: new Set(textOf(`${place}/cgroup`).match(ids)),
      netns: Number(/\d+/.exec(linkOf(`${place}/ns/net`))?.[0] ?? 0),
      argv,
      isOurShim,
      isBerthd: isProgram && argv !== undefined && servesAsBerthd(argv),
      isOthers: otherRuntimes.test(comm) && !isOurShim,
    });
    if (seen.length % 100 === 0) await turn();
  }
  return { seen, isWhole: true };
}

/** Of a program that does not tell its arguments it may be so. */
function servesAsBerthd(argv: readonly string[]): boolean {
  const at = argv.findIndex((word) => /(^|\/)berthd(\.ts|\.js)?$/.test(word));
  return argv.length === 0 || (at !== -1 && argv.includes("serve", at + 1));
}

function filesOf(place: string): readonly string[] {
  try {
    const fds = readdirSync(`${place}/fd`).map((fd) => linkOf(`${place}/fd/${fd}`));
    return [linkOf(`${place}/cwd`), ...fds];
  } catch {
    return [linkOf(`${place}/cwd`)];
  }
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return "";
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
