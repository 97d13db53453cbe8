// SPDX-License-Identifier: Apache-2.0
// Pull and unpack of an image of three layers from a loopback registry: Berth beside Debian's
// containerd. Wall time as the client sees it, CPU time of the daemon and its children.
import { randomBytes } from "node:crypto";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type LayerEntry, writeOciLayout } from "../test/support/oci-image.ts";
import { processes } from "../test/support/processes.ts";
import { pushLayout } from "../test/support/test-images.ts";
import type { Contender } from "./contender.ts";
import { cpuMsOf } from "./pod-cycle.ts";
import { comparison } from "./report.ts";
import { Samples } from "./samples.ts";
import { setUp } from "./set-up.ts";

const { values } = parseArgs({
  options: {
    n: { type: "string", short: "n", default: "5" },
    mib: { type: "string", default: "50" },
    only: { type: "string" },
  },
});
const rounds = Number(values.n);
const settleMs = 200;

await using bench = await setUp(values.only);
if (bench) {
  const layout = await bench.home.folder("big");
  await writeOciLayout(layout, "1", { config: { Cmd: ["true"] }, layers: layers() });
  const image = `${bench.registry.host}/big:1`;
  await pushLayout(path.resolve(layout), "1", image);
  const wall = bench.contenders.map(() => new Samples());
  const cpu = bench.contenders.map(() => new Samples());
  for (let round = -1; round < rounds; round++) {
    for (const [index, it] of bench.contenders.entries()) {
      const { images } = it.cri;
      const before = await settledCpuMs(it);
      const took = new Samples();
      await took.time(() => images.PullImage({ image: { image } }));
      if (round >= 0) {
        wall[index]!.add(took.quantile(0.5));
        cpu[index]!.add((await settledCpuMs(it)) - before);
      }
      await images.RemoveImage({ image: { image } });
    }
  }
  console.log(
    comparison(
      `${values.mib} MiB in 3 layers`,
      bench.contenders.map(({ name }) => name),
      [
        ["PullImage p50, ms", ...wall.map((samples) => samples.quantile(0.5))],
        ["PullImage best, ms", ...wall.map((samples) => samples.quantile(0))],
        ["CPU p50, ms", ...cpu.map((samples) => samples.quantile(0.5))],
      ],
    ),
  );
}

/**
 * CPU time of the daemon and all its children, those that run included, once what the last call has left to do is done:
 * a child that is being reaped would be missed.
 */
async function settledCpuMs(it: Contender): Promise<number> {
  await delay(settleMs);
  const children = processes(({ ppid }) => ppid === it.pid);
  return cpuMsOf(it) + children.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
}

/** A layer of many small files, one of some large ones, one between; half of each compresses away. */
function layers(): LayerEntry[][] {
  const bytes = Number(values.mib) * (1 << 20);
  return [
    files("small", bytes / 4, 16 << 10),
    files("large", bytes / 2, 8 << 20),
    files("between", bytes / 4, 512 << 10),
  ];
}

function files(folder: string, total: number, size: number): LayerEntry[] {
  const count = Math.max(1, Math.round(total / size));
  const content = (): Buffer =>
    Buffer.concat([randomBytes(size / 2), Buffer.alloc(size / 2, "berth ")]);
  return [
    { path: folder },
    ...Array.from({ length: count }, (_, i) => ({ path: `${folder}/${i}`, content: content() })),
  ];
}
