// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import path from "node:path";
import { run } from "../src/base/process.ts";

/** The daemon's threads that start without being told much, by the modules of their entries below src. */
const entries = [
  "metadata/sqlite/writer-thread",
  "network/netns-worker",
  "logs/worker",
  "streaming/worker",
  "metrics/kernel-figures-thread",
  "images/manifest/document-worker",
  "cri/oci-spec/seccomp/profile-worker",
];

/** Starts each in a process that has nothing else, and tells what anonymous memory came with it. */
const program = `
  const { readFileSync } = require("node:fs");
  const { Worker } = require("node:worker_threads");
  const [entry, folder] = process.argv.slice(-2);
  const kib = () => Number(/^Anonymous: +(\\d+)/m.exec(readFileSync("/proc/self/smaps_rollup", "utf8"))[1]);
  const started = (code, options) => new Promise((resolve) => {
    const worker = new Worker(code, options).once("online", () => setTimeout(() => resolve(worker), 1500)).once("error", () => {});
  });
  const limits = { resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 } };
  (async () => {
    await started("setInterval(() => {}, 1e6)", { eval: true }); // with what the first one brings for all
    const before = kib();
    const busy = new SharedArrayBuffer(64);
    await started(new URL("file://" + entry), { workerData: { file: folder + "/of-thread.db", busy }, ...limits });
    console.log(kib() - before);
    process.exit();
  })();`;

/** `argv` is that of a daemon that runs: the same Node, flags and modules. */
export async function threadCosts(
  argv: readonly string[],
  folder: string,
): Promise<{ readonly name: string; readonly mib: number }[]> {
  const at = argv.findIndex((word) => /\/berthd\.[jt]s$/.test(word));
  const [node = "", ...flags] = argv.slice(0, at);
  const home = path.dirname(argv[at] ?? "");
  const found = [];
  for (const name of entries) {
    const bundled = path.join(home, `${name.replaceAll("/", "-")}.js`);
    const entry = existsSync(bundled) ? bundled : path.join(home, "..", `${name}.ts`);
    const { stdout } = await run(node, [...flags, "-e", program, entry, folder]);
    found.push({ name, mib: Number(stdout.toString()) / 1024 });
  }
  return found;
}
