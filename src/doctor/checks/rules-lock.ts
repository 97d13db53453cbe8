// SPDX-License-Identifier: Apache-2.0
import { statFields } from "../../base/os/proc.ts";
import { error, type Finding } from "../finding.ts";
import type { Host } from "../host.ts";
import type { Patient } from "../patient.ts";

const file = "/run/xtables.lock";
const program = /^(ip6?tables|xtables)/;
/** None of them takes that long to change rules. */
const longSeconds = 60;
const ticksPerSecond = 100;

/** A program of iptables that has hung with the lock that all others of them wait for. */
export async function heldLock(patient: Patient): Promise<Finding[]> {
  const { host } = patient;
  const lock = await host.stat(file);
  if (lock === undefined) return [];
  const locks = (await host.value("/proc/locks")) ?? "";
  const found: Finding[] = [];
  for (const [, pid = "", inode = ""] of locks.matchAll(
    /^\d+: FLOCK\s+\S+\s+\S+\s+(\d+) \S+:(\d+) /gm,
  )) {
    if (Number(inode) !== lock.ino) continue;
    const name = (await host.value(`/proc/${pid}/comm`)) ?? "";
    const seconds = await ageOf(host, pid);
    if (!program.test(name) || seconds === undefined || seconds < longSeconds) continue;
    found.push(
      error({
        what: `process ${pid} (${name}) has ${file} for ${seconds} s`,
        why: "kube-proxy and CNI plugins wait for it: no pod's network is made or removed, no Service changes",
        mend: `kill -9 ${pid} # what it was to change is made anew by whoever had started it`,
      }),
    );
  }
  return found;
}

/** In whole seconds; undefined where that is not told. */
async function ageOf(host: Host, pid: string): Promise<number | undefined> {
  const stat = (await host.value(`/proc/${pid}/stat`)) ?? "";
  const started = Number(statFields(stat)[19] ?? Number.NaN);
  const up = Number(((await host.value("/proc/uptime")) ?? "").split(" ")[0] || Number.NaN);
  const age = Math.floor(up - started / ticksPerSecond);
  return Number.isNaN(age) ? undefined : age;
}
