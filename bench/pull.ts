// SPDX-License-Identifier: Apache-2.0
// Pull and unpack of images from a loopback registry: Berth beside containerd. Wall time as the client sees it, CPU
// time of the daemon and its children.
import { rm } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { writeOciLayout } from "../test/support/oci-image.ts";
import { processes } from "../test/support/processes.ts";
import { pushLayout } from "../test/support/test-images.ts";
import { type Contender, usualPrograms } from "./contender.ts";
import { cpuMsOf } from "./pod-cycle.ts";
import { type FileSizes, type PullCase, pullRecipe, titleOf } from "./pull-images.ts";
import { comparison } from "./report.ts";
import { Samples } from "./samples.ts";
import { type SetUp, setUp } from "./set-up.ts";

const usage = `scripts/node bench/pull.ts [options]
  -n N             pulls by each runtime, in turn (default 5; 3 with --all)
  --mib N          plain bytes of the image's files (default 50)
  --layers N       default 3
  --files KIND     small (4 KiB), large (8 MiB), or mixed (default; with 3 layers, one of each kind), half of each random
                   and half of it one word; or machine: the programs and libraries of this machine
  --compression C  gzip (default) or zstd
  --all            instead of one image: 1, 3, 5 and 20 layers, small and large files, this machine's, zstd; some minutes
  --only NAMES     of berth, containerd-2.4, containerd only these, with commas between
  --shim PATH      the shim of all (default containerd-shim-runc-v2 on PATH): containerd-2.4 needs one of its time`;

const { values } = parseArgs({
  options: {
    n: { type: "string", short: "n" },
    mib: { type: "string", default: "50" },
    layers: { type: "string", default: "3" },
    files: { type: "string", default: "mixed" },
    compression: { type: "string", default: "gzip" },
    all: { type: "boolean", default: false },
    only: { type: "string" },
    shim: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});
const rounds = Number(values.n ?? (values.all ? 3 : 5));
const settleMs = 200;
/** Each runtime has pulled something. */
let isWarm = false;

const asked: PullCase = {
  mib: Number(values.mib),
  layers: Number(values.layers),
  files: oneOf<FileSizes>(values.files, ["small", "large", "mixed", "machine"]),
  compression: oneOf(values.compression, ["gzip", "zstd"]),
};

if (values.help) console.log(usage);
else {
  await using bench = await setUp(values.only, { ...usualPrograms, shim: values.shim });
  for (const it of bench ? (values.all ? variants(asked) : [asked]) : []) await measure(bench!, it);
}

/** The image that was asked for, and each with one thing changed. */
function variants(base: PullCase): PullCase[] {
  return [
    base,
    ...[1, 5, 20].map((layers) => ({ ...base, layers })),
    { ...base, files: "small" },
    { ...base, files: "large" },
    { ...base, files: "machine" },
    { ...base, compression: "zstd" },
  ];
}

async function measure({ contenders, home, registry }: SetUp, it: PullCase): Promise<void> {
  const wall = contenders.map(() => new Samples());
  const cpu = contenders.map(() => new Samples());
  for (let round = -1; round < rounds; round++) {
    if (round < 0 && isWarm) continue;
    const image = await push(it, round);
    // In turn, each as often the first to read the registry's files.
    const turns = [...contenders.entries()];
    for (const [index, contender] of round % 2 === 0 ? turns : turns.reverse()) {
      const before = await settledCpuMs(contender);
      const took = new Samples();
      await took.time(() => contender.cri.images.PullImage({ image: { image } }));
      if (round < 0) continue;
      wall[index]!.add(took.quantile(0.5));
      cpu[index]!.add((await settledCpuMs(contender)) - before);
    }
  }
  isWarm = true;

  /**
   * An image of its own for each round, and none is removed in between: ext4 makes files slowly, some milliseconds
   * each, near many that were removed in the last minutes.
   */
  async function push(content: PullCase, round: number): Promise<string> {
    const name = titleOf(content)
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, "-");
    const layout = path.resolve(await home.folder("layout"));
    await writeOciLayout(layout, "1", pullRecipe(content));
    const image = `${registry.host}/${name}:${round + 1}`;
    await pushLayout(layout, "1", image);
    await rm(layout, { recursive: true });
    return image;
  }
  console.log(
    `${comparison(
      titleOf(it),
      contenders.map((contender) => contender.name),
      [
        ["PullImage p50, ms", ...wall.map((samples) => samples.quantile(0.5))],
        ["PullImage best, ms", ...wall.map((samples) => samples.quantile(0))],
        ["CPU p50, ms", ...cpu.map((samples) => samples.quantile(0.5))],
      ],
    )}\n`,
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

function oneOf<T extends string>(text: string, known: readonly T[]): T {
  const found = known.find((one) => one === text);
  if (found === undefined) throw new Error(`"${text}" is none of ${known.join(", ")}`);
  return found;
}
