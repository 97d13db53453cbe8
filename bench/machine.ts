// SPDX-License-Identifier: Apache-2.0
import { readFileSync, statfsSync } from "node:fs";
import os from "node:os";
import { run } from "../test/support/run.ts";
import type { Contender, PodPrograms } from "./contender.ts";

/** Where figures come from: without it they say little. */
export interface Machine {
  readonly at: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly kernel: string;
  readonly cgroups: "v1" | "v2";
  /** Of the folder that roots are in: f_type of statfs(2), in hex. */
  readonly fileSystem: string;
  /** One-minute load average when the bench began: above a half, the figures are of a busy machine. */
  readonly load: number;
  readonly node: string;
  /** The versions that the programs tell, by name: each runtime, the shim, the OCI runtime. */
  readonly versions: Readonly<Record<string, string>>;
}

/** `load` is taken by who calls before it starts anything. */
export async function describeMachine(
  contenders: readonly Contender[],
  { ociRuntime, shim }: PodPrograms,
  load: number,
): Promise<Machine> {
  const versions: Record<string, string> = {};
  for (const { name, version } of contenders) versions[name] = version;
  versions["shim"] = await versionOf(shim ?? "containerd-shim-runc-v2", "-v");
  versions["OCI runtime"] =
    ociRuntime === undefined ? "each one's default" : await versionOf(ociRuntime, "--version");
  return {
    at: new Date().toISOString(),
    cpu: os.cpus()[0]?.model.trim() ?? "unknown",
    cpus: os.cpus().length,
    memoryMib: Math.round(os.totalmem() / (1 << 20)),
    kernel: os.release(),
    cgroups: readFileSync("/proc/mounts", "utf8").includes(" /sys/fs/cgroup cgroup2 ")
      ? "v2"
      : "v1",
    fileSystem: `0x${statfsSync(os.tmpdir()).type.toString(16)}`,
    load,
    node: process.version,
    versions,
  };
}

/** One line for people. */
export function machineLine(machine: Machine): string {
  const { cgroups, cpu, cpus, kernel, load, memoryMib, node, versions } = machine;
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const gib = (memoryMib / 1024).toFixed(0);
  return [
    `${cpus} × ${cpu}, ${gib} GiB, Linux ${kernel}, cgroup ${cgroups}, Node ${node}, load ${load.toFixed(2)}`,
    programs.join("; "),
  ].join("\n");
}

/** The last word of the first line that has a version: `runc version 1.1.5`, `  Version:  1.6.20`. */
async function versionOf(program: string, flag: string): Promise<string> {
  const { stdout } = await run(program, [flag]).catch(() => ({ stdout: "" }));
  const line = stdout.split("\n").find((text) => /version/i.test(text) && /\d/.test(text));
  return `${program} ${line?.trim().split(/\s+/).at(-1) ?? "unknown"}`;
}
