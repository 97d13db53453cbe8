// SPDX-License-Identifier: Apache-2.0
// The thread that owns the database: a flush of the disk blocks here, never the daemon's main loop.
import { parentPort } from "node:worker_threads";
import { toFault } from "../../base/errors.ts";
import { relieveThread } from "../../base/memory/memory-relief.ts";
import { startInterval } from "../../base/timers.ts";
import type { StoredRow } from "../mirrored-table.ts";
import { SqliteRows } from "./sqlite-rows.ts";
import type { ThreadAnswer, ThreadRequest } from "./thread-messages.ts";

if (!parentPort) throw new Error("writer-thread.ts runs as a worker thread only");
const port = parentPort;
relieveThread();

function answer(work: () => ThreadAnswer): void {
  try {
    port.postMessage(work());
  } catch (error) {
    const { code, message } = toFault(error);
    port.postMessage({ kind: "failed", code, message } satisfies ThreadAnswer);
  }
}

/** So late, at most, is it told that somebody has done harm to a file while nothing is written. */
const lookEveryMs = 10_000;

let rows: SqliteRows | undefined;
let harm: string | undefined;
let batches: Generator<StoredRow[]> | undefined;

function open(file: string): ThreadAnswer {
  rows = new SqliteRows(file);
  batches = rows.batches();
  startInterval(tellHarm, lookEveryMs).unref();
  return { kind: "opened" };
}

function tellHarm(): void {
  const now = rows?.harm;
  if (now === harm) return;
  harm = now;
  port.postMessage({ kind: "harm", harm } satisfies ThreadAnswer);
}

port.on("message", (request: ThreadRequest) => {
  if (request.kind === "close") {
    batches?.return(undefined);
    rows?.[Symbol.dispose]();
    rows = undefined;
    port.close();
    return;
  }
  if (request.kind === "open") return answer(() => open(request.file));
  let isRead = true;
  answer(() => {
    if (request.kind === "next") {
      const { value, done = false } = batches?.next() ?? { value: [], done: true };
      isRead = done;
      return { kind: "rows", rows: value ?? [], isLast: done };
    }
    let isWritten = false;
    try {
      rows?.write(request.changes);
      isWritten = true;
    } finally {
      // What has been written was looked at for it.
      if (!isWritten || harm !== undefined) tellHarm();
    }
    return { kind: "written" };
  });
  if (isRead) rows?.settle();
});
