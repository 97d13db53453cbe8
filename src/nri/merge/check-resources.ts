// SPDX-License-Identifier: Apache-2.0
import type { LinuxDeviceCgroup, LinuxMemory, LinuxResources } from "../messages.ts";
import { badAnswer } from "./bad-answer.ts";

/** Processors or memory nodes, as the kernel lists them: `0-2,5`. */
export const listPattern = /^(\d+(-\d+)?)(,\d+(-\d+)?)*$/;

/** Bytes, or -1 for no limit. */
const memoryLimits = [
  ["limit", "limit"],
  ["reservation", "reservation"],
  ["swap", "swap"],
  ["kernel", "kernel"],
  ["kernelTcp", "kernel_tcp"],
] as const satisfies readonly (readonly [keyof LinuxMemory, string])[];

/** FAILED_PRECONDITION, with the plugin and the field, for limits that no kernel has. */
export function checkResources(plugin: string, given: LinuxResources, field: string): void {
  const bad = (at: string, problem: string): Error => badAnswer(plugin, `${field}.${at}`, problem);
  const { memory, cpu, hugepageLimits, unified, pids } = given;
  const limits: (readonly [string, { readonly value: bigint } | null | undefined])[] = [
    ...memoryLimits.map(([name, at]) => [`memory.${at}`, memory?.[name]] as const),
    ["cpu.quota", cpu?.quota],
    ["cpu.realtime_runtime", cpu?.realtimeRuntime],
    ["pids.limit", pids === null ? null : { value: pids.limit }],
  ];
  for (const [at, limit] of limits) {
    if (limit && limit.value < -1n) {
      throw bad(at, `${limit.value} is negative; -1 is for no limit`);
    }
  }
  if (memory?.swappiness && memory.swappiness.value > 200n) {
    throw bad("memory.swappiness", `${memory.swappiness.value} is more than 200`);
  }
  for (const [at, list] of [
    ["cpu.cpus", cpu?.cpus],
    ["cpu.mems", cpu?.mems],
  ] as const) {
    if (list && !listPattern.test(list)) throw bad(at, `"${list}" is no list such as 0-2,5`);
  }
  for (const [at, { pageSize }] of hugepageLimits.entries()) {
    if (!/^\d+[KMGT]B$/.test(pageSize)) {
      throw bad(`hugepage_limits[${at}].page_size`, `"${pageSize}" is no size such as 2MB`);
    }
  }
  for (const file of Object.keys(unified)) {
    if (!/^[a-z_]+\.[\w.]+$/i.test(file)) {
      throw bad("unified", `"${file}" is no name of a cgroup file`);
    }
  }
  for (const [at, rule] of given.devices.entries()) {
    const problem = ruleProblem(rule);
    if (problem !== undefined) throw bad(`devices[${at}]`, problem);
  }
}

function ruleProblem({ type, access, major, minor }: LinuxDeviceCgroup): string | undefined {
  if (!/^[abcup]?$/.test(type)) return `type "${type}" is none of a, b, c, u and p`;
  if (!/^[rwm]{0,3}$/.test(access)) return `access "${access}" is not made of r, w and m`;
  for (const number of [major, minor]) {
    if (number !== null && (number.value < -1n || number.value > 0xffff_ffffn)) {
      return `${number.value} is no device number`;
    }
  }
  return undefined;
}
