// SPDX-License-Identifier: Apache-2.0
// Berth beside the newest containerd, where it is built, and Debian's: the same client, shim, OCI runtime, CNI plugins
// and image, pods in turn.
// It prints what each call takes, both footprints, and which programs each call starts. No thresholds: figures to
// steer by.
import os from "node:os";
import { parseArgs } from "node:util";
import type { Contender, PodPrograms } from "./contender.ts";
import { type Density, density } from "./density.ts";
import { footprints } from "./footprint.ts";
import { describeMachine, type Machine, machineLine } from "./machine.ts";
import { newTimings, podCycle } from "./pod-cycle.ts";
import { untraceable } from "./programs/process-trace.ts";
import { startedPrograms } from "./programs/programs.ts";
import { type MeanStarted, meanStarted } from "./programs/programs-report.ts";
import { comparison, jsonReport, textReport } from "./report.ts";
import { type SetUp, setUp } from "./set-up.ts";

const usage = `npm run bench -- [options]
  -n N             pods a runtime runs, one after another (default 20)
  --only NAMES     of berth, containerd-2.4, containerd only these, with commas between
  --oci-runtime P  what all run pods with (default runc); "default" for what each takes by itself
  --shim PATH      the shim of all (default containerd-shim-runc-v2 on PATH)
  --sandbox KIND   Berth's cri.sandbox, process or shim
  --idle-pods N    pods of the footprint part; 0 leaves it out (default 10)
  --traced-pods N  pods of the part that counts the programs started; 0 leaves it out (default 3)
  --pods N         instead: N pods on each at the same time, lists, execs, a restart
  --idle-seconds N how long idle CPU is measured (default 10)
  --json           figures as JSON`;

const { values } = parseArgs({
  options: {
    n: { type: "string", short: "n", default: "20" },
    only: { type: "string" },
    "oci-runtime": { type: "string", default: "runc" },
    shim: { type: "string" },
    sandbox: { type: "string" },
    "idle-pods": { type: "string", default: "10" },
    "traced-pods": { type: "string", default: "3" },
    pods: { type: "string" },
    "idle-seconds": { type: "string", default: "10" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

const load = os.loadavg()[0] ?? Number.NaN;
const chosen = values["oci-runtime"];
const programs: PodPrograms = {
  shim: values.shim,
  ociRuntime: chosen === "default" ? undefined : chosen,
  sandbox: values.sandbox,
};

if (values.help) {
  console.log(usage);
} else {
  await using bench = await setUp(values.only, programs);
  if (bench) {
    const machine = await describeMachine(bench.contenders, programs, load);
    if (values.pods !== undefined) await many(bench, machine);
    else await inTurn(bench, machine);
  }
}

async function many({ contenders, image }: SetUp, machine: Machine): Promise<void> {
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
  const runtimes = names.map((name, i) => ({ name, figures: found[i] }));
  if (values.json) console.log(JSON.stringify({ machine, pods, runtimes }, undefined, 2));
  else console.log([machineLine(machine), "", comparison(`${pods} pods`, names, rows)].join("\n"));
}

async function inTurn({ contenders, image }: SetUp, machine: Machine): Promise<void> {
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
  const traced = await programsOf(contenders, image);
  const results = contenders.map((it) => ({
    name: it.name,
    timings: timings.get(it)!,
    footprint: sizes?.get(it.name),
    programs: traced?.get(it.name),
  }));
  console.log(values.json ? jsonReport(machine, results) : textReport(machine, results));
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
