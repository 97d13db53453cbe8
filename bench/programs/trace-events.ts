// SPDX-License-Identifier: Apache-2.0

/** A task that began: a process, or a thread of one. `by` and `tid` are thread ids. */
export interface NewTask {
  readonly kind: "task";
  readonly by: number;
  readonly tid: number;
  readonly isThread: boolean;
}

/** A process that became another program. */
export interface Exec {
  readonly kind: "exec";
  readonly tid: number;
  /** As the program was called, which may be relative or lead into /proc. */
  readonly file: string;
}

export type ProcessEvent = NewTask | Exec;

const cloneThread = 0x1_00_00n;

/**
 * One line of the kernel's trace (task_newtask and sched_process_exec, as their `format` files have it); undefined for
 * other lines. Throws for the line by which the kernel tells that it dropped events: counts would not be exact.
 */
export function parseTraceLine(line: string): ProcessEvent | undefined {
  if (/\[LOST \d+ EVENTS\]/.test(line)) throw new Error(`the kernel's trace is not whole: ${line}`);
  const match = /^\s*.{1,16}?-(\d+)\s+\[\d+\]\s+\S+\s+[\d.]+: (\w+): (.*)$/.exec(line);
  if (match === null) return undefined;
  const [, by, event, text = ""] = match;
  if (event === "task_newtask") {
    const task = /^pid=(\d+) comm=.* clone_flags=([0-9a-f]+) /.exec(text);
    if (task === null) return undefined;
    const isThread = (BigInt(`0x${task[2]}`) & cloneThread) !== 0n;
    return { kind: "task", by: Number(by), tid: Number(task[1]), isThread };
  }
  if (event === "sched_process_exec") {
    const exec = /^filename=(.*) pid=(\d+) old_pid=\d+$/.exec(text);
    if (exec !== null) return { kind: "exec", file: exec[1] ?? "", tid: Number(exec[2]) };
  }
  return undefined;
}
