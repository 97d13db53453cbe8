// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cri, RunningPod } from "../pods.ts";

/** What a kubelet notices of a pod, in milliseconds. */
export interface Figures {
  readonly exec: number;
  /** ContainerStatus and PodSandboxStatus. */
  readonly status: number;
  /** From a line's write in the container to its place in the log file. */
  readonly line: number;
}

export type Aspect = keyof Figures;
export const aspects: readonly Aspect[] = ["exec", "status", "line"];

/** All that was measured, one number each time. */
export type Samples = Readonly<Record<Aspect, number[]>>;

/** The 99th percentiles of several measurements together. */
export function percentiles(...measured: readonly Samples[]): Figures {
  const of = (aspect: Aspect): number => {
    const sorted = measured.flatMap((samples) => samples[aspect]).sort((one, two) => one - two);
    return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN;
  };
  return { exec: of("exec"), status: of("status"), line: of("line") };
}

const everyMs = 10;

/** A pod that does no harm, and how long it waits for what is done for it. */
export class QuietPod {
  readonly #cri: Cri;
  readonly #pod: RunningPod;
  readonly #container: string;

  private constructor(cri: Cri, pod: RunningPod, container: string) {
    this.#cri = cri;
    this.#pod = pod;
    this.#container = container;
  }

  static async start(cri: Cri, image: string): Promise<QuietPod> {
    const pod = await cri.runPod();
    return new QuietPod(cri, pod, await cri.startContainer(pod, image, ["hostile", "lines"]));
  }

  /** Two execs at a time, statuses and log lines beside them, until `execs` are done or the time is up. */
  async measure(execs: number, maxMs: number): Promise<Samples> {
    const samples: Samples = { exec: [], status: [], line: [] };
    const end = new AbortController();
    const others = [
      this.#askStatuses(samples.status, end.signal),
      this.#readLines(samples.line, end.signal),
    ];
    const endAt = performance.now() + maxMs;
    const lane = async (): Promise<void> => {
      while (samples.exec.length < execs && performance.now() < endAt) {
        samples.exec.push(await timed(() => this.exec()));
      }
    };
    try {
      await Promise.all([lane(), lane()]);
    } finally {
      end.abort();
      await Promise.all(others);
    }
    assert.ok(samples.line.length > 0, "the quiet pod's log stood still");
    return samples;
  }

  async exec(): Promise<void> {
    const { exitCode, stdout } = await this.#cri.exec(this.#container, ["echo", "well"]);
    assert.deepEqual([exitCode, stdout], [0, "well\n"], "the quiet pod's exec");
  }

  async #askStatuses(samples: number[], signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      samples.push(await timed(() => this.#cri.status(this.#container)));
      samples.push(await timed(() => this.#cri.podStatus(this.#pod.id)));
      await sleep(everyMs);
    }
  }

  /** Follows the log file's end; a line tells when it was written, in nanoseconds since 1970. */
  async #readLines(samples: number[], signal: AbortSignal): Promise<void> {
    const { logPath } = await this.#cri.status(this.#container);
    await using file = await open(logPath, "r");
    let position = (await file.stat()).size;
    let rest = "";
    let isFirst = true;
    while (!signal.aborted) {
      const text = await readOn(file, position);
      position += text.length;
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        // The first may have been cut, and was written before we looked.
        if (!isFirst)
          samples.push(Date.now() - Number(BigInt(line.split(" ")[3] ?? "") / 1_000_000n));
        isFirst = false;
      }
      await sleep(everyMs);
    }
  }
}

async function readOn(file: FileHandle, position: number): Promise<string> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(65_536), 0, 65_536, position);
  return buffer.toString("latin1", 0, bytesRead);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const since = performance.now();
  await work();
  return performance.now() - since;
}
