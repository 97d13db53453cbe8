// SPDX-License-Identifier: Apache-2.0
// Berth beside Debian's containerd: the same client, runc, CNI plugins and image, pods in turn.
// It prints what each call takes and both footprints. No thresholds: figures to steer by.
import { parseArgs } from "node:util";
import { lacking, podPrograms } from "../test/support/lacking.ts";
import { startRegistry } from "../test/support/registry.ts";
import { scratch } from "../test/support/scratch.ts";
import { pushTestImages } from "../test/support/test-images.ts";
import { type Contender, type ContenderName, startContender } from "./contender.ts";
import { footprints } from "./footprint.ts";
import { newTimings, podCycle } from "./pod-cycle.ts";
import { jsonReport, textReport } from "./report.ts";

const usage = `npm run bench -- [options]
  -n N             pods a runtime runs, one after another (default 20)
  --only NAME      berth or containerd alone
  --idle-pods N    pods of the footprint part; 0 leaves it out (default 10)
  --idle-seconds N how long idle CPU is measured (default 10)
  --json           figures as JSON`;

const { values } = parseArgs({
  options: {
    n: { type: "string", short: "n", default: "20" },
    only: { type: "string" },
    "idle-pods": { type: "string", default: "10" },
    "idle-seconds": { type: "string", default: "10" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

const names: ContenderName[] = (["berth", "containerd"] as const).filter(
  (name) => values.only === undefined || values.only === name,
);
const missing = lacking(...podPrograms, ...(names.includes("containerd") ? ["containerd"] : []));

if (values.help) {
  console.log(usage);
} else if (names.length === 0) {
  console.error(usage);
  process.exitCode = 2;
} else if (missing !== false) {
  console.error(`bench ${missing}`);
  process.exitCode = 1;
} else {
  await bench();
}

async function bench(): Promise<void> {
  await using home = await scratch({ prefix: "bench" });
  await using registry = await startRegistry(await home.folder("registry"));
  const images = await pushTestImages(registry, await home.folder("images"));
  const image = images.shell.reference;
  await using running = new AsyncDisposableStack();
  const contenders: Contender[] = [];
  for (const name of names) {
    const it = running.use(await startContender(name, images.idle.reference));
    await it.cri.images.PullImage({ image: { image } });
    contenders.push(it);
  }
  for (const it of contenders) {
    for (let i = 0; i < 2; i++) await podCycle(it, image, newTimings());
  }
  const timings = new Map(contenders.map((it) => [it, newTimings()]));
  const rounds = Number(values.n);
  for (let round = 0; round < rounds; round++) {
    for (const it of contenders) await podCycle(it, image, timings.get(it)!);
    if (process.stderr.isTTY) process.stderr.write(`\r${round + 1} of ${rounds}`);
  }
  if (process.stderr.isTTY) process.stderr.write("\r");
  const pods = Number(values["idle-pods"]);
  const seconds = Number(values["idle-seconds"]);
  const sizes = pods > 0 ? await footprints(contenders, image, { pods, seconds }) : undefined;
  const results = contenders.map((it) => ({
    name: it.name,
    timings: timings.get(it)!,
    footprint: sizes?.get(it.name),
  }));
  console.log(values.json ? jsonReport(results) : textReport(results));
}
