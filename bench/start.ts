// SPDX-License-Identifier: Apache-2.0
// The daemon's start, after a kill -9: from exec to serving, its stages, and the memory after it, without pods or with some.
// Of the checkout, or of unpacked packages, which take turns, since a machine's speed drifts, and beside the newest containerd
// where it is built, with as many pods, by what both show: how long after the exec CRI's lists are answered:
// scripts/node bench/start.ts [FOLDER/usr/bin ...] [--pods 100] [--starts 5] [--profile FOLDER], which gets a CPU profile of each start (Node writes it at a SIGTERM, so the daemon is stopped so).
import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { connectLight } from "../src/rpc/light/light-client.ts";
import { startContainerd } from "../test/support/containerd.ts";
import { startDaemon } from "../test/support/daemon.ts";
import { builtTool } from "../test/support/go-tools.ts";
import type { Cri } from "../test/support/pods.ts";
import { startRegistry } from "../test/support/registry.ts";
import { scratch } from "../test/support/scratch.ts";
import { pushTestImages } from "../test/support/test-images.ts";
import { until } from "../test/support/until.ts";
import { memoryOf } from "./footprint.ts";
import { obedient } from "./pod-cycle.ts";
import { Samples } from "./samples.ts";
import { table } from "./table.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pods: { type: "string", default: "0" },
    starts: { type: "string", default: "5" },
    profile: { type: "string" },
  },
});
const given = positionals.length > 0 ? positionals : [path.join(import.meta.dirname, "../bin")];
const compared = given.map((folder) => path.resolve(folder));
const pods = Number(values.pods);
const podsAtOnce = 4;
/** By then what Node compiled is kept, and what the start needed has been given back. */
const settledMs = 8_000;
const askedEveryMs = 5;

const env: Record<string, string> = {};
await using home = await scratch({ prefix: "bench" });
await using registry = await startRegistry(await home.folder("registry"));
const images = await pushTestImages(registry, await home.folder("images"));
const image = images.shell.reference;
const options = { programs: compared[0] ?? "", logLevel: "info", env };
await using daemon = await startDaemon(options);
await fill(daemon.cri);
const [program, shim] = await Promise.all([
  builtTool("containerd-2.4"),
  builtTool("containerd-shim-runc-v2-2.4"),
]);
await using peer =
  program === undefined || shim === undefined
    ? undefined
    : await startContainerd(images.idle.reference, { daemon: program, shim });
if (peer) await fill(peer.cri);
await sleep(settledMs);
if (values.profile !== undefined) {
  env["NODE_OPTIONS"] = `--cpu-prof --cpu-prof-interval=200 --cpu-prof-dir=${values.profile}`;
}
const starts = compared.map((programs) => ({ programs, all: [] as Start[] }));
for (const { programs } of starts) {
  options.programs = programs;
  await restart(); // compiles what is new
  await sleep(settledMs);
}
const peerStarts = { answers: new Samples(), cpu: new Samples() };
for (let i = 0; i < Number(values.starts); i += 1) {
  for (const { programs, all } of starts) {
    options.programs = programs;
    all.push(await restart());
  }
  if (!peer) continue;
  await peer.kill9();
  peerStarts.answers.add(await untilAnswered(peer.socket, () => peer.start()));
  peerStarts.cpu.add(cpuMsOf(peer.pid));
}
await sleep(settledMs);
const { rss, pss, anonymous } = memoryOf(daemon.pid());
const load = readFileSync("/proc/loadavg", "utf8").split(" ")[0];
console.log(`load ${load}; ${pods} pods`);
for (const { programs, all } of starts) {
  const rows = all.map(({ ms, answersMs, cpuMs, stages }) => [
    `${ms}`,
    answersMs.toFixed(0),
    `${cpuMs}`,
    stages,
  ]);
  const [wall, answers, cpu] = [new Samples(), new Samples(), new Samples()];
  for (const { ms, answersMs, cpuMs } of all) {
    wall.add(ms);
    answers.add(answersMs);
    cpu.add(cpuMs);
  }
  console.log(
    `programs of ${programs}: median ${summary(wall)} ms, answers after ${summary(answers)} ms, CPU ${summary(cpu)} ms`,
  );
  console.log(table([["exec to serving, ms", "to answers, ms", "CPU, ms", "stages, ms"], ...rows]));
}
if (peer) {
  const { answers, cpu } = peerStarts;
  console.log(`containerd-2.4: answers after ${summary(answers)} ms, CPU ${summary(cpu)} ms`);
}
console.log(`MiB: RSS ${rss.toFixed(1)}, PSS ${pss.toFixed(1)}, anonymous ${anonymous.toFixed(1)}`);

interface Start {
  /** As its log tells it. */
  readonly ms: number;
  readonly answersMs: number;
  readonly cpuMs: number;
  readonly stages: string;
}

function summary(samples: Samples): string {
  return `${samples.quantile(0.5).toFixed(0)}, best ${samples.quantile(0).toFixed(0)}`;
}

async function fill(cri: Cri): Promise<void> {
  await cri.images.PullImage({ image: { image } });
  const runPod = async (): Promise<void> => {
    await cri.startContainer(await cri.runPod(), image, obedient);
  };
  for (let made = 0; made < pods; made += podsAtOnce) {
    const some = Math.min(podsAtOnce, pods - made);
    await Promise.all(Array.from({ length: some }, runPod));
  }
}

/** Milliseconds from the call until the first list is answered, with all pods in it. */
async function untilAnswered(socket: string, start: () => Promise<void>): Promise<number> {
  const from = performance.now();
  const started = start();
  const isAnswered = async (): Promise<boolean> => {
    using connection = connectLight(socket);
    const { items } = await connection.client("runtime.v1.RuntimeService").ListPodSandbox({});
    return items.length === pods;
  };
  await until("all pods are listed", isAnswered, { everyMs: askedEveryMs, timeoutMs: 120_000 });
  const took = performance.now() - from;
  await started;
  return took;
}

async function restart(): Promise<Start> {
  if (values.profile === undefined) await daemon.kill9();
  else await daemon.stop();
  const before = (await daemon.logLines()).length;
  const from = Date.now();
  const answersMs = await untilAnswered(daemon.socket, () => daemon.start());
  const cpuMs = cpuMsOf(daemon.pid());
  const lines = (await daemon.logLines()).slice(before);
  const serving = lines.find(({ msg }) => msg === "berthd is serving") ?? {};
  const stages = Object.entries((serving["startMs"] ?? {}) as Readonly<Record<string, number>>);
  const ms = Date.parse(String(serving["time"])) - from;
  return {
    ms,
    answersMs,
    cpuMs,
    stages: stages.map(([name, took]) => `${name} ${took}`).join(", "),
  };
}

/** Of all its threads, as the kernel counts it: in hundredths of a second. */
function cpuMsOf(pid: number): number {
  const [, rest = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
  const fields = rest.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
