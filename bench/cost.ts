// SPDX-License-Identifier: Apache-2.0
// What Berth itself takes: its memory idle, from exec to the first answered call, its threads, and commands of its
// client, beside ctr's and crictl's. Of the checkout, or of an unpacked package: scripts/node bench/cost.ts [FOLDER/usr/bin]
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startDaemon } from "../test/support/daemon.ts";
import { builtTool } from "../test/support/go-tools.ts";
import { findProgram } from "../test/support/lacking.ts";
import { processInfo } from "../test/support/processes.ts";
import { memoryOf } from "./footprint.ts";
import { table } from "./table.ts";
import { threadCosts } from "./thread-costs.ts";

const programs = path.resolve(process.argv[2] ?? path.join(import.meta.dirname, "../bin"));
const starts = 5;
const rounds = 9;
/** By then what the start needed has been given back. */
const settledMs = 8_000;

/** Runs a program to its end: how long it took, and the most memory that it had. */
async function once(
  program: string,
  args: readonly string[],
): Promise<{ ms: number; mib: number }> {
  const from = performance.now();
  const child = spawn(program, args, { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  let mib = 0;
  while (child.exitCode === null && child.signalCode === null) {
    mib = Math.max(mib, memoryOf(child.pid ?? 0).peak);
    await Promise.race([ended, sleep(2)]);
  }
  return { ms: performance.now() - from, mib };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

await using daemon = await startDaemon({ programs, logLevel: "info" });
const started: number[] = [];
for (let i = 0; i < starts; i += 1) {
  await daemon.stop();
  const from = performance.now();
  await daemon.start();
  started.push(performance.now() - from);
}
await sleep(settledMs);
const { rss, pss, anonymous } = memoryOf(daemon.pid());
const [berth, berthd] = [path.join(programs, "berth"), path.join(programs, "berthd")];
const ctr = findProgram("ctr");
const crictl = await builtTool("crictl");
const at = ["--address", daemon.socket];
const endpoint = ["--runtime-endpoint", `unix://${daemon.socket}`];
/** The others' stand below what is asked likewise. */
const commands: [string, string | undefined, readonly string[]][] = [
  ["berth version", berth, [...at, "version"]],
  ["ctr version", ctr, [...at, "version"]],
  ["crictl version", crictl, [...endpoint, "version"]],
  ["berth ps", berth, [...at, "ps"]],
  ["crictl ps", crictl, [...endpoint, "ps"]],
  ["berth image ls", berth, [...at, "image", "ls"]],
  ["ctr image ls", ctr, [...at, "--namespace", "k8s.io", "image", "ls"]],
  ["berth completion bash", berth, ["completion", "bash"]],
  ["berthd config check", berthd, ["config", "check", "--config", daemon.configFile]],
];
const rows = [["", "median ms", "peak MiB"]];
for (const [what, program, args] of commands) {
  if (program === undefined) continue;
  const all = [];
  for (let i = 0; i < rounds; i += 1) all.push(await once(program, args));
  rows.push([
    what,
    median(all.map(({ ms }) => ms)).toFixed(0),
    median(all.map(({ mib }) => mib)).toFixed(1),
  ]);
}
const threads = await threadCosts(processInfo(daemon.pid())?.argv ?? [], daemon.folder);
console.log(
  [
    `load ${readFileSync("/proc/loadavg", "utf8").split(" ")[0]}; programs of ${programs}`,
    `daemon until it serves: ${median(started).toFixed(0)} ms`,
    `daemon idle, MiB: RSS ${rss.toFixed(1)}, PSS ${pss.toFixed(1)}, anonymous ${anonymous.toFixed(1)}`,
    "",
    table(rows),
    "",
    table([["thread", "MiB"], ...threads.map(({ name, mib }) => [name, mib.toFixed(1)])]),
  ].join("\n"),
);
