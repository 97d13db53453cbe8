// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../../src/base/process.ts";

/** What a runtime can leave on a machine, one line a thing. */
export async function machineState(): Promise<Set<string>> {
  return new Set([
    ...processes(),
    ...mounts(),
    ...cgroups("/sys/fs/cgroup", 0),
    ...list("/sys/class/net").map((link) => `link ${link}`),
    ...list("/run/netns").map((name) => `netns ${name}`),
    ...list("/run/containerd/s").map((name) => `shim socket ${name}`),
    ...list("/tmp")
      .filter((name) => name.startsWith("berth"))
      .map((name) => `file /tmp/${name}`),
    ...(await iptablesChains()),
  ]);
}

/** What is there now and was not before; waits a little for what ends by itself. */
export async function leftSince(before: ReadonlySet<string>): Promise<string[]> {
  let left: string[] = [];
  for (let attempt = 0; attempt < 20; attempt += 1) {
    left = [...(await machineState())].filter((thing) => !before.has(thing));
    if (left.length === 0) return left;
    await sleep(500);
  }
  return left;
}

function processes(): string[] {
  return list("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        const line = argv.join(" ").trim();
        const isOurs =
          /containerd-shim|cli\/berthd\.ts|docker-registry|berth-fifo-holder|\/pause-amd64|\/pause-arm64/.test(
            line,
          ) || argv[0] === "/pause";
        return isOurs ? [`process ${pid}: ${line.slice(0, 160)}`] : [];
      } catch {
        return [];
      }
    });
}

function mounts(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .flatMap((line) => {
      const point = line.split(" ")[4];
      return point === undefined ? [] : [`mount ${point}`];
    });
}

/** Cgroups of pods and of our tests; those of the machine's own services come and go. */
const podCgroup = /berth|kubepods|k8s\.io|[0-9a-f]{64}/;

function cgroups(folder: string, depth: number): string[] {
  if (depth > 10) return [];
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap(({ name }) => {
        const inner = path.join(folder, name);
        const own = podCgroup.test(inner) ? [`cgroup ${inner}`] : [];
        return [...own, ...cgroups(inner, depth + 1)];
      });
  } catch {
    return []; // removed while we looked
  }
}

/** The chains CNI makes for one container. Those that portmap makes once for all stay by design. */
async function iptablesChains(): Promise<string[]> {
  try {
    const { stdout } = await run("iptables-save", []);
    return stdout
      .toString()
      .split("\n")
      .flatMap((line) => /^:(CNI-\S+)/.exec(line)?.[1] ?? [])
      .filter((chain) => !/^CNI-(HOSTPORT-(DNAT|MASQ|SETMARK)|FORWARD|ADMIN)$/.test(chain))
      .map((chain) => `iptables chain ${chain}`);
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
