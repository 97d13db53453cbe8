// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { PodFact } from "../events/pod-facts.ts";
import { type DueEvent, PodEvents } from "./pod-events.ts";
import type { JobOutcome } from "./ports.ts";

const minute = 60_000;
const hour = 60 * minute;
const done: JobOutcome = { kind: "done" };

function fact(of: Partial<PodFact> & { readonly uid?: string } = {}): PodFact {
  const { uid = "u", ...rest } = of;
  const pod = { namespace: "ns", name: `pod-${uid}`, uid };
  return { kind: "ProcessOOMKilled", pod, subject: "app", message: "killed", ...rest };
}

const made = (): PodEvents => new PodEvents(() => "node");

function settle(due: readonly DueEvent[], outcome: JobOutcome, nowMs: number): void {
  for (const one of due) one.settle(outcome, nowMs);
}

suite("events of pods", () => {
  test("facts that are alike are one Event, counted, and told at growing intervals", () => {
    const events = made();
    events.add(fact(), 0);
    events.add(fact({ message: "killed again" }), 10);
    const [first] = events.due(20, 10);
    assert.ok(first?.job.kind === "create-event");
    const { count, message, metadata } = first.job.event;
    assert.deepEqual([count, message], [2, "killed again"]);
    events.add(fact({ message: "meanwhile" }), 30); // while the request is on its way
    settle([first], done, 40);
    assert.deepEqual(events.due(50, 10), [], "not at once");
    const told: number[] = [];
    for (let now = 0; now < hour; now += 1000) {
      const due = events.due(now, 10);
      for (const { job } of due) {
        assert.ok(job.kind === "count-event");
        assert.equal(job.name, metadata.name);
        told.push(now / 1000);
      }
      settle(due, done, now);
      events.add(fact(), now);
    }
    assert.deepEqual(told.slice(0, 4), [31, 91, 211, 451]);
    assert.ok(told.length < 12);
  });

  test("what an API server has forgotten is made anew", () => {
    const events = made();
    events.add(fact(), 0);
    settle(events.due(0, 1), done, 0);
    events.add(fact(), minute);
    settle(events.due(minute, 1), { kind: "gone" }, minute);
    const [again] = events.due(minute, 1);
    assert.equal(again?.job.kind, "create-event");
    settle([again], { kind: "gone" }, minute);
    assert.deepEqual([events.waiting, events.drops.refused], [0, 1], "its namespace is gone");
  });

  test("what fails waits, what is refused does not", () => {
    const events = made();
    events.add(fact(), 0);
    const failed: JobOutcome = { kind: "failed", problem: { kind: "broken", message: "" } };
    const away: JobOutcome = { kind: "failed", problem: { kind: "unreachable", message: "" } };
    settle(events.due(0, 1), away, 0);
    settle(events.due(0, 1), { kind: "untried" }, 0);
    settle(events.due(0, 1), failed, 0);
    assert.equal(events.due(0, 1).length, 0);
    assert.equal(events.due(minute, 1).length, 1);
    settle(events.due(minute, 1), { kind: "refused", message: "" }, minute);
    assert.deepEqual([events.waiting, events.drops.refused], [0, 1]);
  });

  for (const kind of ["forbidden", "throttled", "late", "broken", "rubbish"] as const) {
    test(`what is ${kind} in one namespace holds up no other, and no other of its own for long`, () => {
      const events = made();
      for (const uid of ["a", "b"]) events.add(fact({ uid }), 0);
      const other = { namespace: "other", name: "pod", uid: "c" };
      events.add({ ...fact(), pod: other }, 0);
      const next = (nowMs: number): string | undefined => {
        const [due] = events.due(nowMs, 1);
        if (due === undefined) return undefined;
        assert.ok(due.job.kind === "create-event");
        settle([due], { kind: "failed", problem: { kind, message: "" } }, nowMs);
        return due.job.event.involvedObject.uid;
      };
      assert.deepEqual([next(0), next(0), next(0)], ["a", "c", undefined]);
      assert.deepEqual([next(2_000), next(2_000)], ["b", undefined]);
    });
  }

  test("keeps of a fact what is told of it, whatever else it has", () => {
    const events = made();
    const pod = { namespace: "ns", name: "pod", uid: "u", more: "x".repeat(1 << 20) };
    events.add(fact({ pod }), 0);
    const [due] = events.due(0, 1);
    assert.ok(JSON.stringify(due?.job).length < 1_000);
  });

  test("one pod takes no more than its share, and all no more than there is", () => {
    const events = made();
    for (let at = 0; at < 1000; at += 1) events.add(fact({ subject: `c${at}` }), 0);
    assert.deepEqual([events.waiting, events.drops.pod], [12, 988]);
    for (let at = 0; at < 10_000; at += 1) events.add(fact({ uid: `u${at}` }), 0);
    assert.equal(events.waiting, 512);
    assert.equal(events.drops.full, 10_000 - 500);
    assert.equal(events.due(0, 1000).length, 25, "a burst");
  });

  test("what was told makes room for what was not", () => {
    const events = made();
    for (let at = 0; at < 512; at += 1) events.add(fact({ uid: `u${at}` }), at);
    settle(events.due(1000, 1), done, 1000);
    events.add(fact({ uid: "new" }), 1000);
    assert.deepEqual([events.waiting, events.drops.full], [512, 0]);
  });

  test("what nobody took for an hour is dropped", () => {
    const events = made();
    events.add(fact(), 0);
    assert.deepEqual(events.due(hour, 10), []);
    assert.deepEqual([events.waiting, events.drops.late], [0, 1]);
  });

  test("texts of tenants are clean and short", () => {
    const events = made();
    events.add(fact({ message: `\u001b[31m\n\u202e${"é".repeat(100_000)}\ud800` }), 0);
    const [due] = events.due(0, 1);
    assert.ok(due?.job.kind === "create-event");
    const { message } = due.job.event;
    assert.match(message, /^\[31m é+ … \d+ characters left out … é+.$/u);
    assert.ok(message.length <= 500 && Buffer.byteLength(message) <= 1024);
  });
});
