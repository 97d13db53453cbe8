// SPDX-License-Identifier: Apache-2.0
// A container that writes as fast as it can: Berth beside Debian's containerd. Time from its start
// until the log file holds everything, and CPU time of the daemon for it.
import { rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Contender } from "./contender.ts";
import { daemonCpuMs } from "./pod-cycle.ts";
import { comparison } from "./report.ts";
import { Samples } from "./samples.ts";
import { setUp } from "./set-up.ts";

const { values } = parseArgs({
  options: {
    n: { type: "string", short: "n", default: "3" },
    mib: { type: "string", default: "128" },
    only: { type: "string" },
  },
});
const mib = Number(values.mib);
const bytes = mib * (1 << 20);
const line = "x".repeat(127);

await using bench = await setUp(values.only);
if (bench) {
  const names = bench.contenders.map(({ name }) => name);
  const rows: (readonly [string, ...number[]])[] = [];
  const kinds = [
    ["lines of 128 bytes", `yes ${line} | head -c ${bytes}`],
    ["one endless line", `head -c ${bytes} /dev/zero`],
  ] as const;
  for (const [kind, script] of kinds) {
    const rate = bench.contenders.map(() => new Samples());
    const cpu = bench.contenders.map(() => new Samples());
    for (let round = 0; round < Number(values.n); round++) {
      for (const [index, it] of bench.contenders.entries()) {
        const { seconds, cpuMs } = await flood(it, bench.image, script);
        rate[index]!.add(mib / seconds);
        cpu[index]!.add(cpuMs / 1000 / (mib / 1024));
      }
    }
    rows.push([`${kind}, MiB a second`, ...rate.map((samples) => samples.quantile(0.5))]);
    rows.push([`${kind}, CPU seconds a GiB`, ...cpu.map((samples) => samples.quantile(0.5))]);
  }
  console.log(comparison(`${mib} MiB through a log`, names, rows));
}

async function flood(
  it: Contender,
  image: string,
  script: string,
): Promise<{ seconds: number; cpuMs: number }> {
  const pod = await it.cri.runPod();
  try {
    const containerId = await it.cri.createContainer(pod, image, ["sh", "-c", script]);
    const cpuBefore = daemonCpuMs(it);
    const from = performance.now();
    await it.cri.runtime.StartContainer({ containerId });
    const { logPath } = await it.cri.reaches(containerId, "CONTAINER_EXITED");
    await settled(logPath);
    const seconds = (performance.now() - from) / 1000;
    const { size } = await stat(logPath);
    if (size < bytes) throw new Error(`${it.name}: only ${size} bytes are in the log`);
    const cpuMs = daemonCpuMs(it) - cpuBefore;
    await rm(logPath, { force: true });
    return { seconds, cpuMs };
  } finally {
    await it.cri.removePod(pod.id);
  }
}

/** The exit may be told before the last of the output is written. */
async function settled(file: string): Promise<void> {
  for (let before = -1, now = 0; now !== before; ) {
    before = now;
    await sleep(10);
    now = (await stat(file)).size;
  }
}
