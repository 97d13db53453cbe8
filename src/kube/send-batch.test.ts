// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { NodeDegraded } from "./node-degraded.ts";
import type { JobOutcome, KubeJob, ProblemKind } from "./ports.ts";
import { sendBatch } from "./send-batch.ts";

const condition = new NodeDegraded().due(0)!;
const done: JobOutcome = { kind: "done" };
const job: KubeJob = { kind: "condition", node: "n", condition };

suite("a batch of jobs", () => {
  test("ends when it has taken long, and each outcome is told as it comes", async () => {
    let now = 0;
    const told: string[] = [];
    const performed: number[] = [];
    await sendBatch(
      { kubeconfig: "/k", jobs: Array.from({ length: 11 }, () => job) },
      {
        nowMs: () => now,
        perform: async () => {
          performed.push(told.length);
          now += 9_000;
          return done;
        },
        tell: ({ kind }) => told.push(kind),
      },
    );
    assert.deepEqual(performed, [0, 1, 2, 3, 4]);
    assert.deepEqual(told, [...Array(5).fill("done"), ...Array(6).fill("untried")]);
  });

  const jobs = ["a", "a", "b", "b", "c"].map(
    (namespace): KubeJob => ({
      kind: "count-event",
      namespace,
      name: "e",
      count: 2,
      message: "",
      lastTimestamp: "",
    }),
  );
  const told = async (fails: (namespace: string) => ProblemKind | undefined) => {
    const outcomes: string[] = [];
    await sendBatch(
      { kubeconfig: "/k", jobs },
      {
        nowMs: () => 0,
        perform: async (_, one) => {
          const kind = one.kind === "condition" ? undefined : fails(one.namespace);
          return kind === undefined ? done : { kind: "failed", problem: { kind, message: "" } };
        },
        tell: ({ kind }) => outcomes.push(kind),
      },
    );
    return outcomes.join(" ");
  };

  test("goes on in other namespaces where one fails", async () => {
    for (const kind of ["forbidden", "throttled", "late", "broken", "rubbish"] as const) {
      const outcomes = await told((namespace) => (namespace === "a" ? kind : undefined));
      assert.equal(outcomes, "failed untried done done done");
    }
  });

  test("ends where two namespaces fail alike, or what fails is not theirs", async () => {
    assert.equal(await told(() => "late"), "failed untried failed untried untried");
    assert.equal(await told(() => "forbidden"), "failed untried failed untried failed");
    for (const kind of ["kubeconfig", "unreachable", "unauthorized"] as const) {
      assert.equal(await told(() => kind), "failed untried untried untried untried");
    }
  });
});
