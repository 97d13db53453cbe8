// SPDX-License-Identifier: Apache-2.0
// The process that times what is done for the quiet pod, with a connection of its own: what the attacks' clients
// do, decoding megabytes of an exec's output say, is not to be taken for the daemon's delay.
import assert from "node:assert/strict";
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { connectPeer } from "../grpc-peer.ts";
import { Cri } from "../pods.ts";
import { until } from "../until.ts";
import { processorTime } from "./processor-time.ts";
import type { Aspect, Samples } from "./samples.ts";

const everyMs = 10;

/** The first argument, as JSON. */
export interface WatcherTask {
  readonly socket: string;
  readonly podSandboxId: string;
  readonly containerId: string;
}

/** Each is answered with a WatcherAnswer. */
export interface WatcherRequest {
  readonly execs: number;
  readonly maxMs: number;
}

export type WatcherAnswer =
  | { readonly ok: true; readonly samples: Samples }
  | { readonly ok: false; readonly message: string };

const { socket, podSandboxId, containerId } = JSON.parse(process.argv[2] ?? "") as WatcherTask;
const peer = connectPeer(socket);
const cri = new Cri(peer, { logRoot: "", cgroupParent: "" });

process.on("message", (request: WatcherRequest) => {
  measure(request).then(
    (samples) => process.send?.({ ok: true, samples } satisfies WatcherAnswer),
    (error: unknown) =>
      process.send?.({ ok: false, message: String(error) } satisfies WatcherAnswer),
  );
});
process.on("disconnect", () => process.exit());

/** Two execs at a time, statuses and log lines beside them, until `execs` are done or the time is up. */
async function measure({ execs, maxMs }: WatcherRequest): Promise<Samples> {
  await until("the daemon answers", () => cri.runtime.Version({})); // it may have been restarted
  const watch = new Watch();
  const end = new AbortController();
  const others = [askStatuses(watch, end.signal), readLines(watch, end.signal)];
  const endAt = performance.now() + maxMs;
  const lane = async (): Promise<void> => {
    while (watch.samples.exec.length < execs && performance.now() < endAt) {
      await watch.time("exec", exec);
    }
  };
  try {
    await Promise.all([lane(), lane()]);
  } finally {
    end.abort();
    await Promise.all(others);
  }
  assert.ok(watch.samples.line.length > 0, "the quiet pod's log stood still");
  return watch.samples;
}

class Watch {
  readonly samples: Samples = { exec: [], status: [], line: [] };

  async time(aspect: Aspect, work: () => Promise<unknown>): Promise<void> {
    const waited = ownWaitMs();
    const since = performance.now();
    await work();
    this.add(aspect, performance.now() - since, ownWaitMs() - waited);
  }

  /** `waitedMs` of it this process waited for a processor, which is none of the daemon's doing. */
  add(aspect: Aspect, tookMs: number, waitedMs: number): void {
    this.samples[aspect].push(Math.max(0, tookMs - waitedMs));
  }
}

async function exec(): Promise<void> {
  const { exitCode, stdout } = await cri.exec(containerId, ["echo", "well"]);
  assert.deepEqual([exitCode, stdout], [0, "well\n"], "the quiet pod's exec");
}

async function askStatuses(watch: Watch, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await watch.time("status", () => cri.status(containerId));
    await watch.time("status", () => cri.podStatus(podSandboxId));
    await sleep(everyMs);
  }
}

/** Follows the log file's end; a line tells when it was written, in nanoseconds since 1970. */
async function readLines(watch: Watch, signal: AbortSignal): Promise<void> {
  const { logPath } = await cri.status(containerId);
  await using file = await open(logPath, "r");
  let position = (await file.stat()).size;
  let rest = "";
  let isFirst = true;
  let waitedBefore = ownWaitMs();
  while (!signal.aborted) {
    const text = await readOn(file, position);
    const waited = ownWaitMs();
    position += text.length;
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const tookMs = Date.now() - Number(BigInt(line.split(" ")[3] ?? "") / 1_000_000n);
      // The first may have been cut, and was written before we looked.
      if (!isFirst) watch.add("line", tookMs, waited - waitedBefore);
      isFirst = false;
    }
    waitedBefore = waited;
    await sleep(everyMs);
  }
}

async function readOn(file: FileHandle, position: number): Promise<string> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(65_536), 0, 65_536, position);
  return buffer.toString("latin1", 0, bytesRead);
}

function ownWaitMs(): number {
  return processorTime(process.pid).waited;
}
