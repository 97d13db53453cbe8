// SPDX-License-Identifier: Apache-2.0
import { parentPort } from "node:worker_threads";
import { type FaultCode, toFault } from "../errors.ts";

const maxMessageChars = 1000;

export type ParsingAnswer<Result> =
  | { readonly ok: true; readonly value: Result }
  | { readonly ok: false; readonly code: FaultCode; readonly message: string };

/** The work of a ParsingThread's module: answers each task with a ParsingAnswer. */
export function answerTasks<Task>(parse: (task: Task) => unknown): void {
  parentPort?.on("message", (task: Task) => {
    parentPort?.postMessage(answerTo(task, parse), []);
  });
}

function answerTo<Task>(task: Task, parse: (task: Task) => unknown): ParsingAnswer<unknown> {
  try {
    return { ok: true, value: parse(task) };
  } catch (error) {
    const { code, message } = toFault(error);
    return { ok: false, code, message: message.slice(0, maxMessageChars) };
  }
}
