// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { processInfo, shimsOf } from "../test/support/processes.ts";
import type { Contender } from "./contender.ts";
import { cpuMsOf, obedient } from "./pod-cycle.ts";

/** What a runtime takes while its pods do nothing. Sizes in MiB. */
export interface Footprint {
  readonly pods: number;
  readonly daemonRss: number;
  readonly daemonRssBefore: number;
  readonly daemonPss: number;
  readonly daemonAnonymous: number;
  readonly shims: number;
  readonly shimsRss: number;
  readonly shimsPss: number;
  readonly shimThreads: number;
  /** CPU milliseconds a second, daemon and shims. */
  readonly idleCpu: number;
}

/** Runs `pods` idle pods on each, all at once, and looks at both over the same seconds. */
export async function footprints(
  all: readonly Contender[],
  image: string,
  { pods, seconds }: { readonly pods: number; readonly seconds: number },
): Promise<Map<string, Footprint>> {
  const before = all.map((it) => mib(processInfo(it.pid)?.rssBytes));
  const made: { it: Contender; id: string }[] = [];
  for (let i = 0; i < pods; i++) {
    for (const it of all) {
      const pod = await it.cri.runPod();
      made.push({ it, id: pod.id });
      await it.cri.startContainer(pod, image, obedient);
    }
  }
  await sleep(2000);
  const from = performance.now();
  const cpu = all.map(cpuMsOf);
  await sleep(seconds * 1000);
  const elapsed = (performance.now() - from) / 1000;
  const found = new Map<string, Footprint>();
  for (const [index, it] of all.entries()) {
    const shims = shimsOf(it.socket);
    found.set(it.name, {
      pods,
      daemonRss: mib(processInfo(it.pid)?.rssBytes),
      daemonRssBefore: before[index] ?? 0,
      daemonPss: memoryOf(it.pid).pss,
      daemonAnonymous: memoryOf(it.pid).anonymous,
      shims: shims.length,
      shimsRss: mib(shims.reduce((sum, info) => sum + info.rssBytes, 0)),
      shimsPss: shims.reduce((sum, info) => sum + memoryOf(info.pid).pss, 0),
      shimThreads: shims.reduce((sum, info) => sum + info.threads, 0),
      idleCpu: (cpuMsOf(it) - (cpu[index] ?? 0)) / elapsed,
    });
  }
  for (const { it, id } of made) await it.cri.removePod(id);
  return found;
}

export function mib(bytes: number | undefined): number {
  return (bytes ?? 0) / (1 << 20);
}

/** What a process has now, and the most that it had, in MiB; zeros when it is gone. */
export interface Memory {
  readonly rss: number;
  readonly pss: number;
  readonly anonymous: number;
  readonly peak: number;
}

export function memoryOf(pid: number): Memory {
  const of = (file: string, field: string): number => {
    try {
      const text = readFileSync(`/proc/${pid}/${file}`, "utf8");
      return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0) / 1024;
    } catch {
      return 0;
    }
  };
  return {
    rss: of("smaps_rollup", "Rss"),
    pss: of("smaps_rollup", "Pss"),
    anonymous: of("smaps_rollup", "Anonymous"),
    peak: of("status", "VmHWM"),
  };
}
