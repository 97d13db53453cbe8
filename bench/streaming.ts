// SPDX-License-Identifier: Apache-2.0
// The streaming server alone: bytes out of and into an exec over SPDY and WebSocket, and through a
// forwarded port. The client is a process of its own, so CPU seconds are the server's; the process
// behind the exec is head or cat. Prints figures, no thresholds.
import { fork } from "node:child_process";
import { connect, createServer, type Socket } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { WebSocket } from "ws";
import { silentLogger } from "../src/base/logger.ts";
import { defaultConfig } from "../src/config/defaults.ts";
import type { ExecTarget, StreamingServer } from "../src/streaming/ports.ts";
import { createStreamingServer } from "../src/streaming/streaming-server.ts";
import { takeDescriptor } from "../test/support/streaming/descriptor-of.ts";
import { FakeSessionHost } from "../test/support/streaming/fake-session-host.ts";
import { upgradeToSpdy } from "../test/support/streaming/spdy-client.ts";

type Mode = "spdy-out" | "spdy-in" | "ws-out" | "ws-in" | "forward-out" | "forward-in";
const modes: readonly Mode[] = [
  "spdy-out",
  "spdy-in",
  "ws-out",
  "ws-in",
  "forward-out",
  "forward-in",
];
const pieceBytes = 32 * 1024; // what kubectl and crictl send at a time

interface Job {
  readonly mode: Mode;
  readonly url: string;
  readonly bytes: number;
}

if (process.send === undefined) {
  const { values } = parseArgs({
    options: {
      mib: { type: "string", default: "1024" },
      only: { type: "string", multiple: true },
    },
  });
  await bench(Number(values.mib) * 1024 * 1024, values.only ?? modes);
} else {
  process.on("message", (job: Job) => {
    void client(job).then(() => {
      process.send?.("done");
      process.disconnect?.();
    });
  });
}

async function bench(bytes: number, wanted: readonly string[]): Promise<void> {
  const host = new FakeSessionHost();
  const config = defaultConfig.streaming;
  await using server = await createStreamingServer({ config, host, log: silentLogger });
  const pod = createServer((socket) => serveInPod(socket, bytes));
  pod.listen(0, "127.0.0.1");
  host.dial = async () => {
    const address = pod.address();
    const socket = connect(typeof address === "object" ? (address?.port ?? 0) : 0, "127.0.0.1");
    await new Promise((resolve) => void socket.once("connect", resolve));
    return takeDescriptor(socket);
  };
  console.log("mode         seconds    MB/s   CPU s  main loop p50 / p99 ms");
  const idle = await measure(() => new Promise((resolve) => setTimeout(resolve, 2000)));
  report("idle", 0, idle);
  for (const mode of modes.filter((mode) => wanted.includes(mode))) {
    report(mode, bytes, await measure(() => run(server, mode, bytes)));
  }
  const two = (["spdy-out", "ws-in"] as const).map((mode) => () => run(server, mode, bytes));
  if (wanted.length > 1) {
    report("two at once", 2 * bytes, await measure(() => Promise.all(two.map((start) => start()))));
  }
  console.log(`peak RSS ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`);
  pod.close();
}

interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly p50: number;
  readonly p99: number;
}

async function measure(work: () => Promise<unknown>): Promise<Measured> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  const cpu = process.cpuUsage();
  const since = performance.now();
  delay.enable();
  await work();
  delay.disable();
  const { user, system } = process.cpuUsage(cpu);
  return {
    seconds: (performance.now() - since) / 1000,
    cpuSeconds: (user + system) / 1e6,
    p50: delay.percentile(50) / 1e6,
    p99: delay.percentile(99) / 1e6,
  };
}

function report(name: string, bytes: number, { seconds, cpuSeconds, p50, p99 }: Measured): void {
  const speed = (bytes / 1e6 / seconds).toFixed(0);
  console.log(
    name.padEnd(12),
    seconds.toFixed(2).padStart(7),
    speed.padStart(7),
    cpuSeconds.toFixed(2).padStart(7),
    `${p50.toFixed(1).padStart(8)} / ${p99.toFixed(1)}`,
  );
}

async function run(server: StreamingServer, mode: Mode, bytes: number): Promise<void> {
  const out = mode.endsWith("out");
  const call = { signal: new AbortController().signal };
  const target: ExecTarget = {
    containerId: "bench",
    command: out ? ["head", "-c", String(bytes), "/dev/zero"] : ["wc", "-c"],
    stdin: !out,
    stdout: true,
    stderr: false,
    tty: false,
  };
  const url = mode.startsWith("forward")
    ? await server.portForward({ sandboxId: "bench", ports: [out ? 1 : 2] }, call)
    : await server.exec(target, call);
  const child = fork(import.meta.filename, { stdio: "inherit" });
  child.send({ mode, url, bytes } satisfies Job);
  await new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`client exited with ${code}`)));
  });
}

/** The pod's side of a forwarded port: gives all the bytes unless it is given one first. */
function serveInPod(socket: Socket, bytes: number): void {
  socket.on("error", () => {});
  let got = 0;
  socket.once("data", (first: Buffer) => {
    got = first.length;
    if (first.toString() === "give") return pour(socket, bytes);
    socket.on("data", (piece) => {
      got += piece.length;
    });
    socket.on("end", () => socket.end(`${got}`));
  });
}

function pour(socket: Socket, bytes: number): void {
  const piece = Buffer.alloc(64 * 1024);
  let left = bytes;
  const more = (): void => {
    while (left > 0) {
      left -= piece.length;
      if (!socket.write(piece)) return void socket.once("drain", more);
    }
    socket.end();
  };
  more();
}

async function client({ mode, url, bytes }: Job): Promise<void> {
  if (mode.startsWith("ws")) return webSocketClient(mode, url, bytes);
  const forward = mode.startsWith("forward");
  const { client } = await upgradeToSpdy(url, [
    forward ? "portforward.k8s.io" : "v4.channel.k8s.io",
  ]);
  if (client === undefined) throw new Error("not upgraded");
  const common = forward ? { requestid: "0", port: "80" } : {};
  const error = await client.open({ streamtype: "error", ...common });
  if (forward) client.end(error);
  const out = mode.endsWith("out");
  const input =
    out && !forward
      ? undefined
      : await client.open({ streamtype: forward ? "data" : "stdin", ...common });
  const output = forward ? input : await client.open({ streamtype: "stdout" });
  if (output === undefined) throw new Error("no output");
  if (out) output.onData = () => {};
  if (input && forward && out) await client.write(input, "give");
  if (input && !out) {
    const piece = Buffer.alloc(pieceBytes);
    for (let sent = 0; sent < bytes; sent += piece.length) await client.write(input, piece);
    client.end(input);
  }
  await output.ended;
  const got = out ? output.bytes : Number(Buffer.concat(output.pieces).toString());
  if (got !== bytes) throw new Error(`${mode}: ${got} bytes arrived of ${bytes}`);
  client.destroy();
}

async function webSocketClient(mode: Mode, url: string, bytes: number): Promise<void> {
  const socket = new WebSocket(url, ["v5.channel.k8s.io"], { perMessageDeflate: false });
  let got = 0;
  let text = "";
  socket.on("message", (data: Buffer) => {
    if (data[0] !== 1) return;
    got += data.length - 1;
    if (mode === "ws-in") text += data.toString("utf8", 1);
  });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  if (mode === "ws-in") {
    for (let sent = 0; sent < bytes; sent += pieceBytes) {
      await new Promise((resolve) => socket.send(Buffer.alloc(pieceBytes + 1), resolve));
    }
    socket.send(Buffer.from([255, 0]));
  }
  await closed;
  const arrived = mode === "ws-in" ? Number(text) : got;
  if (arrived !== bytes) throw new Error(`${mode}: ${arrived} bytes arrived of ${bytes}`);
}
