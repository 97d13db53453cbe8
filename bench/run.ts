// SPDX-License-Identifier: Apache-2.0
// Berth beside Debian's containerd: the same client, runc, CNI plugins and image, pods in turn.
// It prints what each call takes, both footprints, and which programs each call starts. No thresholds: figures to
// steer by.
import { parseArgs } from "node:util";
import type { Contender } from "./contender.ts";
import { type Density, density } from "./density.ts";
import { footprints } from "./footprint.ts";
import { newTimings, podCycle } from "./pod-cycle.ts";
import { untraceable } from "./programs/process-trace.ts";
import { startedPrograms } from "./programs/programs.ts";
import { type MeanStarted, meanStarted } from "./programs/programs-report.ts";
import { comparison, jsonReport, textReport } from "./report.ts";
import { setUp } from "./set-up.ts";

const usage = `npm run bench -- [options]
  -n N             pods a runtime runs, one after another (default 20)
  --only NAME      berth or containerd alone
  --idle-pods N    pods of the footprint part; 0 leaves it out (default 10)
  --traced-pods N  pods of the part that counts the programs started; 0 leaves it out (default 3)
  --pods N         instead: N pods on each at the same time, lists, execs, a restart
  --idle-seconds N how long idle CPU is measured (default 10)
  --json           figures as JSON`;

const { values } = parseArgs({
  options: {
    n: { type: "string", short: "n", default: "20" },
    only: { type: "string" },
    "idle-pods": { type: "string", default: "10" },
    "traced-pods": { type: "string", default: "3" },
    pods: { type: "string" },
    "idle-seconds": { type: "string", default: "10" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (values.help) {
  console.log(usage);
} else {
  await using bench = await setUp(values.only);
  if (bench && values.pods !== undefined) await many(bench.contenders, bench.image);
  else if (bench) await inTurn(bench.contenders, bench.image);
}

async function many(contenders: readonly Contender[], image: string): Promise<void> {
  const pods = Number(values.pods);
  const found: Density[] = [];
  for (const it of contenders) {
    found.push(await density(it, image, { pods, seconds: Number(values["idle-seconds"]) }));
  }
  const names = contenders.map(({ name }) => name);
  const rows = Object.keys(found[0] ?? {}).map((label): [string, ...number[]] => [
    label,
    ...found.map((one) => one[label] ?? Number.NaN),
  ]);
  if (values.json)
    console.log(JSON.stringify(Object.fromEntries(names.map((name, i) => [name, found[i]]))));
  else console.log(comparison(`${pods} pods`, names, rows));
}

async function inTurn(contenders: readonly Contender[], image: string): Promise<void> {
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
  const programs = await programsOf(contenders, image);
  const results = contenders.map((it) => ({
    name: it.name,
    timings: timings.get(it)!,
    footprint: sizes?.get(it.name),
    programs: programs?.get(it.name),
  }));
  console.log(values.json ? jsonReport(results) : textReport(results));
}

async function programsOf(
  contenders: readonly Contender[],
  image: string,
): Promise<Map<string, MeanStarted> | undefined> {
  const pods = Number(values["traced-pods"]);
  if (pods === 0) return undefined;
  const why = await untraceable();
  if (why !== undefined) {
    console.error(`the programs started are not counted: ${why}`);
    return undefined;
  }
  const started = await startedPrograms(contenders, image, pods);
  return new Map([...started].map(([name, calls]) => [name, meanStarted(calls)]));
}
