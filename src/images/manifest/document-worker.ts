// SPDX-License-Identifier: Apache-2.0
import { parentPort } from "node:worker_threads";
import { type FaultCode, toFault } from "../../base/errors.ts";
import {
  type DocumentKind,
  type Documents,
  type DocumentTask,
  parseDocument,
} from "./parse-document.ts";

// The thread that reads documents too large for the main one. It answers each DocumentTask with a
// DocumentAnswer.

const maxMessageChars = 1000;

export type DocumentAnswer =
  | { readonly ok: true; readonly value: Documents[DocumentKind] }
  | { readonly ok: false; readonly code: FaultCode; readonly message: string };

parentPort?.on("message", (task: DocumentTask) => {
  parentPort?.postMessage(answerTo(task), []);
});

function answerTo(task: DocumentTask): DocumentAnswer {
  try {
    return { ok: true, value: parseDocument(task) };
  } catch (error) {
    const { code, message } = toFault(error);
    return { ok: false, code, message: message.slice(0, maxMessageChars) };
  }
}
