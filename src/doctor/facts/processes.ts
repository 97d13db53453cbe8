// SPDX-License-Identifier: Apache-2.0
import { readlink } from "node:fs/promises";
import { argumentsOf } from "../../base/os/process-scan.ts";
import type { Host } from "../host.ts";

export interface ProcessFacts {
  readonly pid: number;
  /** At most 15 bytes. */
  readonly name: string;
}

/** Processes in our own namespace of pids; those of containers have another. */
export async function hostProcesses(host: Host): Promise<readonly ProcessFacts[]> {
  const own = await namespaceOf(host, "self");
  const found: ProcessFacts[] = [];
  for (const name of await host.names("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const comm = await host.value(`/proc/${name}/comm`);
    if (comm === undefined || (await namespaceOf(host, name)) !== own) continue;
    found.push({ pid: Number(name), name: comm });
  }
  return found;
}

/** The command line of one that is called as a program of a node is; see `argumentsOf`. */
export async function commandLine(host: Host, process: ProcessFacts): Promise<readonly string[]> {
  return argumentsOf(process, { proc: host.at("/proc") });
}

/** What a flag is given as, `--flag=value` or `--flag value`; the last one counts, as Go has it. */
export function flagOf(argv: readonly string[], flag: string): string | undefined {
  let value: string | undefined;
  for (const [at, word] of argv.entries()) {
    if (word.startsWith(`--${flag}=`)) value = word.slice(flag.length + 3);
    else if (word === `--${flag}`) value = argv[at + 1] ?? "";
  }
  return value;
}

async function namespaceOf(host: Host, pid: string): Promise<string> {
  return readlink(host.at(`/proc/${pid}/ns/pid`)).catch(() => "");
}
