// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import type { Cri } from "../pods.ts";
import type { Testbed } from "../testbed.ts";
import type { AskedPod } from "./kubelet-questions.ts";
import type { Samples } from "./samples.ts";
import type { WatcherAnswer, WatcherRequest, WatcherTask } from "./watcher.ts";

/** A pod that does no harm, and a process of its own that times what is done for it. */
export class QuietPod implements AsyncDisposable {
  readonly asked: AskedPod;
  readonly #watcher: ChildProcess;
  readonly #gone: Promise<never>;

  private constructor(asked: AskedPod, watcher: ChildProcess) {
    this.asked = asked;
    this.#watcher = watcher;
    this.#gone = once(watcher, "exit").then(() => {
      throw new Error("the watcher ended");
    });
    this.#gone.catch(() => {}); // for whoever waits
  }

  static async start(
    { cri, daemon }: Testbed,
    image: string,
    cgroupProcs: string | undefined,
  ): Promise<QuietPod> {
    const { id: podSandboxId, config } = await cri.runPod();
    const pod = { id: podSandboxId, config };
    const containerId = await cri.startContainer(pod, image, ["hostile", "lines"]);
    const task: WatcherTask = { socket: daemon.socket, podSandboxId, containerId };
    // In a session of its own, as another service of the node: its share of the processors is its own.
    const watcher = fork(path.join(import.meta.dirname, "watcher.ts"), [JSON.stringify(task)], {
      execArgv: [],
      detached: true,
    });
    await once(watcher, "spawn");
    if (cgroupProcs !== undefined) await writeFile(cgroupProcs, String(watcher.pid));
    return new QuietPod({ podSandboxId, containerId }, watcher);
  }

  /** Two execs at a time, statuses and log lines beside them, until `execs` are done or the time is up. */
  async measure(execs: number, maxMs: number): Promise<Samples> {
    const answered = once(this.#watcher, "message") as Promise<[WatcherAnswer]>;
    this.#watcher.send({ execs, maxMs } satisfies WatcherRequest);
    const [answer] = await Promise.race([answered, this.#gone]);
    if (!answer.ok) throw new Error(answer.message);
    return answer.samples;
  }

  /** Once, untimed. */
  async exec(cri: Cri): Promise<void> {
    const { exitCode, stdout } = await cri.exec(this.asked.containerId, ["echo", "well"]);
    assert.deepEqual([exitCode, stdout], [0, "well\n"], "the quiet pod's exec");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#watcher.connected) this.#watcher.disconnect();
    await this.#gone.catch(() => {});
  }
}
