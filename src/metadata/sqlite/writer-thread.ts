// SPDX-License-Identifier: Apache-2.0
// The thread that owns the database: a flush of the disk blocks here, never the daemon's main loop.
import { parentPort } from "node:worker_threads";
import { toFault } from "../../base/errors.ts";
import { relieveThread } from "../../base/memory/memory-relief.ts";
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

let rows: SqliteRows | undefined;
let batches: Generator<StoredRow[]> | undefined;

function open(file: string): ThreadAnswer {
  rows = new SqliteRows(file);
  batches = rows.batches();
  return { kind: "opened" };
}

port.on("message", (request: ThreadRequest) => {
  if (request.kind === "close") {
    batches?.return(undefined);
    rows?.[Symbol.dispose]();
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
    rows?.write(request.changes);
    return { kind: "written" };
  });
  if (isRead) rows?.settle();
});
