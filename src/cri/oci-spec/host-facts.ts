// SPDX-License-Identifier: Apache-2.0
import { access, readdir, readFile } from "node:fs/promises";
import os from "node:os";
import { hugePageSizes } from "../../base/os/huge-pages.ts";
import { boundingCapabilities, capabilityMask } from "../../oci/capabilities.ts";
import type { HostFacts } from "./ports.ts";

const sysResource = 24n;

/** Finds what this host can do. `root` stands for "/" and is another folder only in tests. */
export async function readHostFacts(root = ""): Promise<HostFacts> {
  const [status, controllersV2, hybridV2, cgroups, oomScoreAdj, lastCap] = await Promise.all([
    text(`${root}/proc/self/status`),
    text(`${root}/sys/fs/cgroup/cgroup.controllers`),
    exists(`${root}/sys/fs/cgroup/unified/cgroup.controllers`),
    text(`${root}/proc/cgroups`),
    text(`${root}/proc/self/oom_score_adj`),
    text(`${root}/proc/sys/kernel/cap_last_cap`),
  ]);
  const pages = hugePageSizes(`${root}/sys/kernel/mm/hugepages`);
  const [cgroupNamespaces, apparmor, selinux, swapV1, swapV2] = await Promise.all([
    exists(`${root}/proc/self/ns/cgroup`),
    text(`${root}/sys/module/apparmor/parameters/enabled`),
    exists(`${root}/sys/fs/selinux/enforce`),
    exists(`${root}/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes`),
    swapCountedV2(root, status),
  ]);
  const isV2 = controllersV2 !== "";
  return {
    cgroupVersion: isV2 ? 2 : 1,
    cgroupHybrid: !isV2 && hybridV2,
    cgroupNamespaces,
    cgroupControllers: isV2 ? words(controllersV2) : enabledControllers(cgroups),
    capabilities: boundingCapabilities(status, lastCap),
    seccomp: /^Seccomp:/m.test(status),
    apparmor: apparmor.trim() === "Y",
    selinux,
    swapAccounting: isV2 ? swapV2 : swapV1,
    daemonOomScoreAdj: Number(oomScoreAdj.trim() || 0),
    canLowerOomScore: ((capabilityMask(status, "CapEff") >> sysResource) & 1n) === 1n,
    hugepageSizes: pages,
    kernelRelease: os.release(),
    architecture: hostArchitecture(),
    hostname: os.hostname(),
  };
}

/** As Go spells it. */
export function hostArchitecture(): string {
  const arch = os.arch();
  const names: Readonly<Record<string, string>> = {
    x64: "amd64",
    ia32: "386",
    ppc64: "ppc64le",
    loong64: "loong64",
  };
  return names[arch] ?? arch;
}

// The root cgroup has no memory.swap.max, so the daemon's own cgroup and the first-level ones are asked.
async function swapCountedV2(root: string, status: string): Promise<boolean> {
  if (status === "") return false;
  const own = /^0::(.*)$/m.exec(await text(`${root}/proc/self/cgroup`))?.[1] ?? "/";
  if (await exists(`${root}/sys/fs/cgroup${own}/memory.swap.max`)) return true;
  for (const folder of await list(`${root}/sys/fs/cgroup`)) {
    if (await exists(`${root}/sys/fs/cgroup/${folder}/memory.swap.max`)) return true;
  }
  return false;
}

/** Names of /proc/cgroups that belong to a hierarchy and are enabled. */
function enabledControllers(table: string): string[] {
  const rows = table.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return rows
    .map((line) => line.split(/\s+/))
    .filter((columns) => columns[1] !== "0" && columns[3] === "1")
    .map((columns) => columns[0] ?? "");
}

function words(line: string): string[] {
  return line.split(/\s+/).filter((word) => word !== "");
}

function text(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function list(path: string): Promise<string[]> {
  return readdir(path).catch(() => []);
}
