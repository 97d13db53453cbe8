// SPDX-License-Identifier: Apache-2.0
import { Worker, type WorkerOptions } from "node:worker_threads";
import { threadHeap } from "../memory/thread-heap.ts";
import { NativeGate } from "../os/native-gate.ts";
import { within } from "../waits.ts";

/** How long its end may be waited for: one that hangs in the kernel ends when the kernel lets it go. */
const endMs = 10_000;
/** How long the process's exit waits for a thread that loads native code. */
const exitMs = 2_000;

const gates = new Map<Worker, NativeGate>();
let watchesExit = false;

export interface ThreadOptions
  extends Pick<WorkerOptions, "workerData" | "execArgv" | "stdout" | "stderr"> {
  /** Shown by ps, at most 15 characters. */
  readonly name: string;
  /** Most that its old objects may take, MiB; beyond it the thread ends with ERR_WORKER_OUT_OF_MEMORY. */
  readonly heapMiB: number;
  /** Whether descriptors that it opened and did not close are closed when it ends. Default true. */
  readonly trackUnmanagedFds?: boolean;
}

/** Starts a thread that endThread can end at any time. All threads start here. */
export function startThread(module: URL, { heapMiB, ...options }: ThreadOptions): Worker {
  const gate = new NativeGate();
  const resourceLimits = threadHeap(heapMiB);
  const worker = gate.handTo(() => new Worker(module, { ...options, resourceLimits }));
  for (const earlier of gates.keys()) if (hasEnded(earlier)) gates.delete(earlier);
  gates.set(worker, gate);
  if (!watchesExit) process.once("exit", closeAll);
  watchesExit = true;
  return worker;
}

/**
 * Ends a thread, wherever it is: at once, or as soon as it has loaded the native code that it is at. Settles when it
 * has ended, or after ten seconds.
 */
export async function endThread(worker: Worker): Promise<void> {
  const gate = gates.get(worker);
  if (gate === undefined || hasEnded(worker)) return;
  const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  void gate.close().then(() => worker.terminate());
  await within(ended, endMs);
}

/** The process's exit ends all threads, and must not do so within native code either. */
function closeAll(): void {
  for (const [worker, gate] of gates) if (!hasEnded(worker)) gate.closeNow(exitMs);
}

/** Its owner may have taken all listeners off, so its number is looked at. */
function hasEnded(worker: Worker): boolean {
  return worker.threadId === -1;
}
