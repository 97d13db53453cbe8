// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { errnoOf } from "../../src/base/errors.ts";
import { disposeOnSignal } from "../../test/support/last-resort.ts";
import { must, run } from "../../test/support/run.ts";
import { scratch } from "../../test/support/scratch.ts";
import { type ProcessEvent, parseTraceLine } from "./trace-events.ts";

/** What the kernel tells of processes, machine-wide and without loss: each fork, each exec. */
export interface ProcessTrace extends AsyncDisposable {
  /** What happened since the last time, in order. Throws when the kernel had to drop events. */
  read(): readonly ProcessEvent[];
}

const bufferKib = 8192; // on each processor; an event takes some 60 bytes
const pieceBytes = 1 << 20;
const usualFolder = "/sys/kernel/tracing";

/**
 * Listens to the kernel's trace points for new tasks and for execs, in a trace instance of its own: unlike samples of
 * /proc it misses no program, however short, and unlike ptrace it slows none down. Throws SystemError where the
 * kernel or the container that this runs in has no tracefs: `untraceable` tells that ahead.
 */
export async function traceProcesses(): Promise<ProcessTrace> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "bench" }));
  let tracefs = usualFolder;
  if (!existsSync(path.join(tracefs, "instances"))) {
    tracefs = await home.folder("tracing");
    await must("mount", ["-t", "tracefs", "tracefs", tracefs]);
    undo.defer(() => run("umount", ["-l", tracefs]).then(() => {}));
  }
  const instance = path.join(tracefs, "instances", `berth-bench-${home.tag}`);
  mkdirSync(instance);
  undo.defer(() => rmdirSync(instance));
  const set = (name: string, value: string): void =>
    writeFileSync(path.join(instance, name), value);
  set("trace_clock", "mono"); // one clock for all processors: a fork comes before its child's exec
  set("buffer_size_kb", String(bufferKib));
  const events = ["events/task/task_newtask/enable", "events/sched/sched_process_exec/enable"];
  for (const event of events) set(event, "1");
  undo.defer(() => {
    for (const event of events) set(event, "0");
  });
  const pipe = openSync(
    path.join(instance, "trace_pipe"),
    constants.O_RDONLY | constants.O_NONBLOCK,
  );
  undo.defer(() => closeSync(pipe));
  const owned = undo.move();
  owned.use(disposeOnSignal(owned));
  const piece = Buffer.alloc(pieceBytes);
  return {
    read: () => readAll(pipe, piece).flatMap((line) => parseTraceLine(line) ?? []),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Why programs cannot be traced here; undefined where they can. */
export async function untraceable(): Promise<string | undefined> {
  try {
    await using _trace = await traceProcesses();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function readAll(pipe: number, piece: Buffer): string[] {
  let text = "";
  for (;;) {
    try {
      const bytes = readSync(pipe, piece);
      if (bytes === 0) break;
      text += piece.toString("latin1", 0, bytes);
    } catch (error) {
      if (errnoOf(error) === "EAGAIN") break;
      throw error;
    }
  }
  return text.split("\n");
}
