// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { Lineage } from "./lineage.ts";
import { parseTraceLine } from "./trace-events.ts";

const newThread = "clone_flags=50f00 oom_score_adj=0";
const newProcess = "clone_flags=1200011 oom_score_adj=-999";

test("a line of the kernel's trace is a task, a thread or an exec, whatever its program is called", () => {
  const lines: readonly (readonly [string, unknown])[] = [
    [
      `   berthd-12    [001] ..... 12.000001: task_newtask: pid=13 comm=berthd ${newProcess}`,
      { kind: "task", by: 12, tid: 13, isThread: false },
    ],
    [
      ` a-1 [0] x: y-12 [000] d..2. 12.000001: task_newtask: pid=14 comm=pid=1 clone_flags=0 ${newThread}`,
      { kind: "task", by: 12, tid: 14, isThread: true },
    ],
    [
      "    <...>-13    [000] ..... 12.000002: sched_process_exec: filename=/a b pid=1 pid=13 old_pid=15",
      { kind: "exec", tid: 13, file: "/a b pid=1" },
    ],
    ["# tracer: nop", undefined],
    ["", undefined],
    ["    sh-13    [000] ..... 12.000002: sched_switch: prev_comm=sh", undefined],
  ];
  for (const [line, event] of lines) assert.deepEqual(parseTraceLine(line), event, line);
  assert.throws(() => parseTraceLine("CPU:1 [LOST 12 EVENTS]"), /not whole/);
});

test("what comes from a daemon counts, by program, whoever its parent is and through which thread it came", () => {
  const lineage = new Lineage();
  lineage.add(12, "berthd");
  const events = [
    { kind: "task", by: 12, tid: 13, isThread: true },
    { kind: "task", by: 13, tid: 14, isThread: false },
    { kind: "exec", tid: 14, file: "/usr/sbin/runc" },
    { kind: "task", by: 14, tid: 15, isThread: false },
    { kind: "exec", tid: 15, file: "/proc/self/exe" },
    { kind: "exec", tid: 15, file: "/proc/self/fd/7" },
    { kind: "exec", tid: 15, file: "true" },
  ] as const;
  for (const event of events) assert.equal(lineage.take(event), true);
  const expected = { runc: 1, "runc, again": 2, true: 1 };
  const started = lineage.takeStarted();
  assert.deepEqual(Object.fromEntries(started.programs), expected);
  assert.deepEqual([started.processes, started.threads], [2, 1]);
  assert.equal(lineage.takeStarted().programs.size, 0);
});

test("strangers do not count, nor one that has a number anew", () => {
  const lineage = new Lineage();
  lineage.add(12, "berthd");
  lineage.take({ kind: "task", by: 12, tid: 13, isThread: false });
  assert.equal(lineage.take({ kind: "task", by: 99, tid: 13, isThread: false }), false);
  assert.equal(lineage.take({ kind: "exec", tid: 13, file: "/bin/cron" }), false);
  assert.equal(lineage.takeStarted().programs.size, 0);
});
