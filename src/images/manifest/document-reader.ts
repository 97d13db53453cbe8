// SPDX-License-Identifier: Apache-2.0
import { Worker } from "node:worker_threads";
import { abandonable } from "../../base/abandonable.ts";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { type OneTimer, startTimer, timeoutSignal } from "../../base/timers.ts";
import type { DocumentAnswer } from "./document-worker.ts";
import {
  type DocumentKind,
  type Documents,
  type DocumentTask,
  parseDocument,
} from "./parse-document.ts";

/** Nearly all documents are smaller, and read in less time than it takes to ask somebody else. */
const inlineBytes = 16 * 1024;
/** JSON of 8 MiB can become objects of 300. */
const heapMiB = 512;
const limitMs = 60_000;
const idleMs = 5000;

const workerModule = new URL("./document-worker.ts", import.meta.url);

/**
 * Reads documents: small ones at once, others in a thread of their own, one at a time, that starts with the
 * first of them and ends when none has come for some seconds.
 */
export class DocumentReader {
  readonly #turn = new Semaphore(1);
  #worker: Worker | undefined;
  #idle: OneTimer | undefined;

  /**
   * FAILED_PRECONDITION for what is no such document or has too much of anything, INVALID_ARGUMENT for a
   * bad `docker` one; RESOURCE_EXHAUSTED for one that takes more memory than there is for it.
   */
  async read<K extends DocumentKind>(
    task: DocumentTask<K>,
    { signal }: Cancellable,
  ): Promise<Documents[K]> {
    if (task.bytes.length <= inlineBytes) return parseDocument(task);
    using _turn = await this.#turn.acquire({ signal });
    this.#idle?.stop();
    const worker = this.#worker ?? this.#start();
    const call = AbortSignal.any([signal, timeoutSignal(limitMs)]);
    try {
      const answer = await abandonable(answerOf(worker, task), call);
      this.#idle = startTimer(() => this.#end(worker), idleMs).unref();
      if (!answer.ok) throw fault(answer.code, answer.message);
      return answer.value as Documents[K];
    } catch (error) {
      // Whatever it is at, the next document must not wait for it.
      if (call.aborted) this.#end(worker);
      throw error;
    }
  }

  #start(): Worker {
    const worker = new Worker(workerModule, {
      name: "documents",
      execArgv: [],
      trackUnmanagedFds: false,
      resourceLimits: { maxOldGenerationSizeMb: heapMiB, maxYoungGenerationSizeMb: 32 },
    });
    worker.on("exit", () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  #end(worker: Worker): void {
    if (this.#worker === worker) this.#worker = undefined;
    void worker.terminate();
  }
}

async function answerOf(worker: Worker, task: DocumentTask): Promise<DocumentAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<DocumentAnswer>();
  const onError = (): void =>
    reject(fault("RESOURCE_EXHAUSTED", `${task.what} takes too much memory to be read`));
  const onExit = (): void => reject(fault("UNAVAILABLE", `the reader of ${task.what} has ended`));
  worker.once("message", resolve).once("error", onError).once("exit", onExit);
  worker.ref();
  worker.postMessage(task, []);
  try {
    return await promise;
  } finally {
    worker.unref();
    worker.off("message", resolve).off("error", onError).off("exit", onExit);
  }
}
