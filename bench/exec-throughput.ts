// SPDX-License-Identifier: Apache-2.0
// Exec at full speed: Berth beside Debian's containerd, whose streaming server is Go's, with crictl as
// the client of both. CPU seconds are the daemon's alone. Then how long Version takes meanwhile.
import { spawn } from "node:child_process";
import { createReadStream, openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { toolOrReason } from "../test/support/go-tools.ts";
import { lacking, podPrograms } from "../test/support/lacking.ts";
import { processInfo } from "../test/support/processes.ts";
import { startRegistry } from "../test/support/registry.ts";
import { scratch } from "../test/support/scratch.ts";
import { pushTestImages } from "../test/support/test-images.ts";
import { type Contender, startContender } from "./contender.ts";
import { Samples } from "./samples.ts";

const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "1024" },
    only: { type: "string" },
    seconds: { type: "string", default: "10" },
  },
});
const bytes = Number(values.mib) * 1024 * 1024;

interface Rig {
  readonly it: Contender;
  readonly container: string;
  readonly config: string;
  readonly program: string;
}

const missing = lacking(...podPrograms);
const tool = await toolOrReason("crictl");
if (missing !== false || tool.skip !== false) {
  console.error(`bench ${missing === false ? tool.skip : missing}`);
  process.exitCode = 1;
} else {
  await bench(tool.path);
}

async function bench(program: string): Promise<void> {
  await using home = await scratch({ prefix: "bench" });
  await using registry = await startRegistry(await home.folder("registry"));
  const images = await pushTestImages(registry, await home.folder("images"));
  console.log("runtime     transport  way   seconds    MB/s   CPU s");
  for (const name of (["berth", "containerd"] as const).filter(
    (name) => values.only === undefined || values.only === name,
  )) {
    await using it = await startContender(name, images.idle.reference);
    const image = images.shell.reference;
    await it.cri.images.PullImage({ image: { image } });
    const pod = await it.cri.runPod();
    const container = await it.cri.startContainer(pod, image, ["sleep", "100000"]);
    const config = path.join(home.path, `${name}.yaml`);
    await writeFile(config, `runtime-endpoint: unix://${it.socket}\ntimeout: 30\n`);
    const rig = { it, container, config, program };
    // containerd speaks no version 5 over WebSocket, and crictl nothing else.
    for (const transport of name === "berth" ? ["spdy", "websocket"] : ["spdy"]) {
      await measure(rig, transport, "out");
      await measure(rig, transport, "in");
    }
    await versions(rig);
    await it.cri.removePod(pod.id);
  }
}

async function measure(rig: Rig, transport: string, way: "out" | "in"): Promise<void> {
  await crictl(rig, transport, way, 1024 * 1024).done;
  const cpu = cpuMs(rig);
  const from = performance.now();
  const got = await crictl(rig, transport, way, bytes).done;
  const seconds = (performance.now() - from) / 1000;
  const cpuSeconds = (cpuMs(rig) - cpu) / 1000;
  if (got !== bytes)
    throw new Error(`${rig.it.name} ${transport} ${way}: ${got} of ${bytes} bytes`);
  console.log(
    rig.it.name.padEnd(11),
    transport.padEnd(10),
    way.padEnd(3),
    seconds.toFixed(2).padStart(9),
    (bytes / 1e6 / seconds).toFixed(0).padStart(7),
    cpuSeconds.toFixed(2).padStart(7),
  );
}

function cpuMs({ it }: Rig): number {
  return processInfo(it.pid)?.cpuMs ?? Number.NaN;
}

/** One crictl; `done` gives the bytes that arrived. */
function crictl(
  { config, container, program }: Rig,
  transport: string,
  way: "out" | "in",
  count: number,
  // Whoever measures the daemon's answers has no time to read along.
  output: "pipe" | "ignore" = "pipe",
): { readonly done: Promise<number>; readonly stop: () => void } {
  const command =
    way === "out" ? ["head", "-c", String(count), "/dev/zero"] : ["sh", "-c", "cat | wc -c"];
  const args = ["--config", config, "exec", "-r", transport, ...(way === "in" ? ["-i"] : [])];
  const child = spawn(program, [...args, container, ...command], {
    stdio: [way === "in" ? "pipe" : "ignore", output, "inherit"],
  });
  if (child.stdin) {
    child.stdin.on("error", () => {});
    const fd = openSync("/dev/zero", "r");
    createReadStream("", { fd, end: count - 1, highWaterMark: 256 * 1024 }).pipe(child.stdin);
  }
  let received = 0;
  let text = "";
  child.stdout?.on("data", (piece: Buffer) => {
    received += piece.length;
    if (way === "in") text += piece.toString();
  });
  const done = new Promise<number>((resolve) => {
    child.once("close", () => resolve(way === "in" ? Number(text) : received));
  });
  return { done, stop: () => child.kill("SIGKILL") };
}

async function versions(rig: Rig): Promise<void> {
  const idle = await callVersion(rig);
  const endless = 2 ** 40;
  const two = [0, 1].map(() => crictl(rig, "spdy", "out", endless, "ignore"));
  await sleep(1000);
  const busy = await callVersion(rig);
  for (const { stop } of two) stop();
  await Promise.all(two.map(({ done }) => done));
  const show = (samples: Samples): string =>
    [0.5, 0.99].map((q) => samples.quantile(q).toFixed(1)).join(" / ");
  console.log(
    `${rig.it.name}: Version p50 / p99 ms: idle ${show(idle)}, beside two full-speed sessions ${show(busy)}`,
  );
}

async function callVersion({ it }: Rig): Promise<Samples> {
  const samples = new Samples();
  const until = performance.now() + Number(values.seconds) * 1000;
  while (performance.now() < until) {
    await samples.time(() => it.cri.runtime.Version({ version: "v1" }));
    await sleep(5);
  }
  return samples;
}
