// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { NodeDegraded } from "./node-degraded.ts";
import type { JobOutcome, KubeJob } from "./ports.ts";
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
});
