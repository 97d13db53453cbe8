// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** One process of /proc. */
export interface ProcessInfo {
  readonly pid: number;
  readonly ppid: number;
  readonly argv: readonly string[];
  readonly state: string;
  /** User and system time, in milliseconds, of the process and of its waited-for children. */
  readonly cpuMs: number;
  readonly childrenCpuMs: number;
  readonly rssBytes: number;
  readonly threads: number;
}

const pageBytes = 4096;
const tickMs = 10; // USER_HZ is 100 on every architecture Node runs on

/** The process, or undefined when it is gone. */
export function processInfo(pid: number): ProcessInfo | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const at = (index: number): number => Number(fields[index - 3]);
    return {
      pid,
      ppid: at(4),
      state: fields[0] ?? "?",
      argv: readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1),
      cpuMs: (at(14) + at(15)) * tickMs,
      childrenCpuMs: (at(16) + at(17)) * tickMs,
      rssBytes: at(24) * pageBytes,
      threads: at(20),
    };
  } catch {
    return undefined;
  }
}

/** All processes that satisfy `wanted`, zombies left out. */
export function processes(wanted: (info: ProcessInfo) => boolean): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const info = processInfo(Number(name));
    if (info && info.state !== "Z" && wanted(info)) found.push(info);
  }
  return found;
}

/** The threads of a process, each with its own niceness. */
export function threadsOf(pid: number): { readonly name: string; readonly niceness: number }[] {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder).flatMap((tid) => {
    try {
      const stat = readFileSync(`${folder}/${tid}/stat`, "utf8");
      const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return [{ name, niceness: Number(fields[16]) }];
    } catch {
      return []; // it has ended meanwhile
    }
  });
}

/** CI keeps little of what a run says. */
const mostWaits = 40;
const mostArgumentChars = 100;

/**
 * What the threads of these processes wait for, for who looks into a test that hung: a line for those of a process that
 * wait for the same.
 */
export function waitsOf(wanted: (info: ProcessInfo) => boolean): string {
  const lines = processes(wanted).flatMap(({ pid, ppid, argv }) => {
    const waits = new Map<string, number>();
    for (const tid of entries(`/proc/${pid}/task`)) {
      const [stat, wchan] = ["stat", "wchan"].map((name) =>
        fileOf(`/proc/${pid}/task/${tid}/${name}`),
      );
      const wait = `${stat?.slice(stat.lastIndexOf(")") + 2)[0]} ${wchan}`;
      waits.set(wait, (waits.get(wait) ?? 0) + 1);
    }
    const [program = "", ...args] = argv;
    const text = [program.split("/").at(-1), ...args].join(" ");
    const { length } = text;
    const half = mostArgumentChars / 2;
    const short = length > 2 * half ? `${text.slice(0, half)} … ${text.slice(-half)}` : text;
    return [...waits].map(([wait, count]) => `${pid} ${ppid} ${count} ${wait} ${short}`);
  });
  const more = lines.length > mostWaits ? [`and ${lines.length - mostWaits} lines more`] : [];
  return ["pid ppid threads state wchan args", ...lines.slice(0, mostWaits), ...more].join("\n");
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // it has ended meanwhile
  }
}

function fileOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The shims that were told `socket` as their runtime's address. */
export function shimsOf(socket: string): ProcessInfo[] {
  return processes(
    ({ argv }) =>
      (argv[0] ?? "").includes("containerd-shim") && argv[argv.indexOf("-address") + 1] === socket,
  );
}

/** Processes whose cgroup is `parent` or below. */
export function processesInCgroup(parent: string): ProcessInfo[] {
  return processes(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/cgroup`, "utf8")
        .split("\n")
        .some((line) => {
          const group = line.split(":").slice(2).join(":");
          return group === parent || group.startsWith(`${parent}/`);
        });
    } catch {
      return false;
    }
  });
}

/** True while the process is there and no zombie. */
export function isAlive(pid: number): boolean {
  const info = processInfo(pid);
  return info !== undefined && info.state !== "Z";
}

/** What the descriptors of a process lead to; those that close meanwhile are left out. */
export function openFilesOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(`${folder}/${fd}`)];
    } catch {
      return [];
    }
  });
}

/** A namespace's identity, `net:[4026531840]`; undefined when the process is gone. */
export function namespaceOf(pid: number, kind: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined;
  }
}
