// SPDX-License-Identifier: Apache-2.0
import type { LinuxContainerAdjustment, LinuxDevice, LinuxRdt } from "../messages.ts";
import { badAnswer } from "./bad-answer.ts";
import { checkResources } from "./check-resources.ts";
import { checkScheduling } from "./check-scheduling.ts";
import { bare, isRemoval } from "./removal-mark.ts";
import { seccompProblem } from "./seccomp-problem.ts";

const namespaceTypes = new Set(["pid", "network", "mount", "ipc", "uts", "user", "cgroup"]);

/** FAILED_PRECONDITION for what is no adjustment of a Linux container; see checkAdjustment. */
export function checkLinux(plugin: string, linux: LinuxContainerAdjustment): void {
  const bad = (at: string, problem: string): Error =>
    badAnswer(plugin, `adjust.linux.${at}`, problem);
  for (const [at, device] of linux.devices.entries()) {
    const found = deviceProblem(device);
    if (found !== undefined) throw bad(`devices[${at}].${found[0]}`, found[1]);
  }
  for (const [at, { type }] of linux.namespaces.entries()) {
    if (!namespaceTypes.has(bare(type))) {
      throw bad(`namespaces[${at}].type`, `unknown value "${type}"`);
    }
  }
  for (const key of Object.keys(linux.sysctl)) {
    if (!/^-?[a-z0-9_-]+([./][\w-]+)+$/i.test(key)) throw bad("sysctl", `"${key}" is no sysctl`);
  }
  for (const [key, { name }] of Object.entries(linux.netDevices)) {
    const host = bare(key);
    for (const one of name === "" ? [host] : [host, name]) {
      if (!isInterface(one)) throw bad("net_devices", `"${one}" is no name of an interface`);
    }
  }
  if (linux.oomScoreAdj !== null) {
    const { value } = linux.oomScoreAdj;
    if (value < -1000n || value > 1000n)
      throw bad("oom_score_adj", `${value} is outside -1000..1000`);
  }
  if (linux.seccompPolicy !== null) {
    const found = seccompProblem(linux.seccompPolicy);
    if (found !== undefined) throw bad(`seccomp_policy.${found[0]}`, found[1]);
  }
  const rdt = linux.rdt === null ? undefined : rdtProblem(linux.rdt);
  if (rdt !== undefined) throw bad("rdt.clos_id", rdt);
  checkScheduling(plugin, linux);
  if (linux.resources !== null) {
    checkResources(plugin, linux.resources, "adjust.linux.resources");
  }
}

function deviceProblem(device: LinuxDevice): readonly [string, string] | undefined {
  const { path, type, major, minor } = device;
  const plain = bare(path);
  if (!plain.startsWith("/")) return ["path", `"${plain}" is not an absolute path`];
  if (isRemoval(path)) return undefined;
  if (!/^[bcup]$/.test(type)) return ["type", `"${type}" is none of b, c, u and p`];
  for (const [name, number] of [
    ["major", major],
    ["minor", minor],
  ] as const) {
    if (number < 0n || number > 0xffff_ffffn) return [name, `${number} is no device number`];
  }
  return undefined;
}

/** As the kernel has it (dev_valid_name). */
function isInterface(name: string): boolean {
  return name !== "." && name !== ".." && /^[^\s/:]{1,15}$/.test(name);
}

function rdtProblem({ closId }: LinuxRdt): string | undefined {
  if (closId === null) return undefined;
  const { value } = closId;
  const isFolder = value !== "" && value !== "." && value !== ".." && !/[/\n]/.test(value);
  return isFolder ? undefined : `"${value}" is no name of a group of /sys/fs/resctrl`;
}
