// SPDX-License-Identifier: Apache-2.0

import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { Worker } from "node:worker_threads";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, type RuntimeFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { endThread, startThread } from "../../base/threads/thread.ts";
import { startTimer, type Timer } from "../../base/timers.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { HookName } from "./api.ts";
import type { HookCall, WorkerNotice, WorkerStart } from "./messages.ts";

const workerModule = new URL("./worker.ts", import.meta.url);
/** Starting a thread and reading files: more than a hook gets, on a node that is busy booting. */
const loadMs = 10_000;
const heapLimitMb = 128;

interface Pending {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: RuntimeFault) => void;
  readonly hook: HookName;
  began: boolean;
  timer: Timer | undefined;
}

export interface PluginWorkerOptions {
  readonly start: WorkerStart;
  /** For one call of a hook, from the moment it runs. */
  readonly timeoutMs: number;
  readonly log: Logger;
  /** Called once, with the reason, as soon as the thread will answer no more. */
  readonly onEnd: (reason: RuntimeFault) => void;
}

/**
 * One life of a plugin's thread: it loads, answers calls, and ends once and for all when a call takes
 * too long, when it crashes, or when it is disposed.
 */
export class PluginWorker implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #timeoutMs: number;
  readonly #pending = new Map<number, Pending>();
  readonly #loaded = Promise.withResolvers<ReadonlySet<HookName>>();
  readonly #loadTimer: Timer;
  readonly #onEnd: (reason: RuntimeFault) => void;
  #sequence = 0;
  #end: RuntimeFault | undefined;

  constructor({ start, timeoutMs, log, onEnd }: PluginWorkerOptions) {
    this.#timeoutMs = timeoutMs;
    this.#onEnd = onEnd;
    this.#worker = startThread(workerModule, {
      workerData: start,
      name: `plugin ${start.name}`,
      stdout: true,
      stderr: true,
      heapMiB: heapLimitMb,
      // Operators' files have no package.json beside them; Node finds out by itself what they are.
      execArgv: ["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"],
    });
    relay(this.#worker.stdout, (line) => log.info({ line }, "plugin output"));
    relay(this.#worker.stderr, (line) => log.warn({ line }, "plugin output"));
    this.#worker.on("message", (notice: WorkerNotice) => this.#take(notice));
    this.#worker.on("error", (error) => this.#finish("UNAVAILABLE", `crashed: ${String(error)}`));
    this.#worker.on("exit", () => this.#finish("UNAVAILABLE", "ended by itself"));
    this.#loaded.promise.catch(() => {}); // whoever asks is told, and nobody has to
    this.#loadTimer = startTimer(
      () => this.#finish("DEADLINE_EXCEEDED", `did not load within ${loadMs / 1000} s`),
      loadMs,
    );
  }

  /** The hooks it has, once it is loaded. DEADLINE_EXCEEDED, or FAILED_PRECONDITION with its own error. */
  loaded(): Promise<ReadonlySet<HookName>> {
    return this.#loaded.promise;
  }

  /**
   * Runs a hook and answers what it answered. DEADLINE_EXCEEDED when it took too long, UNKNOWN when it
   * threw, ABORTED when the thread ended for another call's sake. An abort only ends the wait.
   */
  call(hook: HookName, request: unknown, { signal }: Cancellable): Promise<unknown> {
    if (this.#end) return Promise.reject(this.#aborted(this.#end));
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    this.#sequence += 1;
    const sequence = this.#sequence;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(sequence, { resolve, reject, hook, began: false, timer: undefined });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, no window
    this.#worker.postMessage({ sequence, hook, request } satisfies HookCall);
    this.#watchFirst();
    return unlessAborted(promise, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#finish("UNAVAILABLE", "was stopped");
    await endThread(this.#worker);
  }

  #take(notice: WorkerNotice): void {
    if (notice.kind === "loaded") {
      this.#loadTimer.stop();
      return this.#loaded.resolve(new Set(notice.hooks));
    }
    if (notice.kind === "notLoaded") return this.#finish("FAILED_PRECONDITION", notice.error);
    const pending = this.#pending.get(notice.sequence);
    if (!pending) return;
    if (notice.kind === "began") {
      pending.began = true;
      this.#watch(pending);
      return;
    }
    this.#settle(notice.sequence, pending);
    if (notice.kind === "answered") pending.resolve(notice.answer);
    else pending.reject(fault("UNKNOWN", notice.error));
  }

  #settle(sequence: number, pending: Pending): void {
    pending.timer?.stop();
    this.#pending.delete(sequence);
    this.#watchFirst();
  }

  /**
   * A call that waits behind one that runs is not late yet. But with none running the thread is held
   * up by something else, and the first in line is watched.
   */
  #watchFirst(): void {
    const calls = [...this.#pending.values()];
    const [first] = calls;
    if (first && !calls.some(({ began }) => began) && !first.timer) this.#watch(first);
  }

  #watch(pending: Pending): void {
    pending.timer?.stop();
    pending.timer = startTimer(() => {
      const error = fault("DEADLINE_EXCEEDED", `took longer than ${this.#timeoutMs} ms`);
      pending.reject(error);
      this.#finish("DEADLINE_EXCEEDED", `${pending.hook} ${error.message}`);
    }, this.#timeoutMs);
  }

  #finish(code: "UNAVAILABLE" | "DEADLINE_EXCEEDED" | "FAILED_PRECONDITION", why: string): void {
    if (this.#end) return;
    this.#end = fault(code, why);
    this.#loadTimer.stop();
    this.#onEnd(this.#end);
    this.#loaded.reject(this.#end);
    for (const { reject, timer } of this.#pending.values()) {
      timer?.stop();
      reject(this.#aborted(this.#end));
    }
    this.#pending.clear();
    void endThread(this.#worker);
  }

  #aborted(end: RuntimeFault): RuntimeFault {
    return fault("ABORTED", `its thread has ended: ${end.message}`, { cause: end });
  }
}

function relay(stream: Readable, onLine: (line: string) => void): void {
  createInterface({ input: stream }).on("line", onLine);
}
