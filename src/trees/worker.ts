// SPDX-License-Identifier: Apache-2.0
import { parentPort, workerData } from "node:worker_threads";
import { toFault } from "../base/errors.ts";
import { lowerIoPriority } from "../base/os/io-priority.ts";
import { lowerPriority } from "../base/os/thread-priority.ts";
import { Descriptors } from "./descriptors.ts";
import { type Job, jobs } from "./jobs.ts";
import type { TreeAnswer, TreeRequest, TreeWorkerData } from "./messages.ts";
import { type Ended, Rounds } from "./rounds.ts";

/** Entry of a tree worker thread: runs what the main thread's TreeWorker asks for. */
const port = parentPort;
if (port !== null) {
  const { descriptors, niceness } = workerData as TreeWorkerData;
  lowerPriority(niceness);
  lowerIoPriority();
  serve(new Descriptors(descriptors), (answer) => port.postMessage(answer));
}

function serve(descriptors: Descriptors, post: (answer: TreeAnswer) => void): void {
  let turning = false;
  const rounds = new Rounds((id, ended) => post(answerOf(id, ended)));

  // Between two rounds the event loop takes messages: that is when a cancellation arrives.
  const turn = (): void => {
    turning = rounds.turn();
    if (turning) setImmediate(turn);
  };

  port?.on("message", (message: TreeRequest) => {
    if (message.kind === "cancel") {
      rounds.cancel(message.id);
      return;
    }
    const table: Readonly<Record<string, (request: never, open: Descriptors) => Job<unknown>>> =
      jobs;
    const start = table[message.job];
    if (start === undefined) throw new Error(`no job "${message.job}"`);
    rounds.add(message.id, start(message.request as never, descriptors));
    if (!turning) setImmediate(turn);
    turning = true;
  });
}

function answerOf(id: number, ended: Ended): TreeAnswer {
  if ("value" in ended) return { id, ok: true, value: ended.value };
  const { code, message } = toFault(ended.error);
  return { id, ok: false, code, message };
}
