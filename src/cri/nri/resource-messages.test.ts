// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LinuxContainerInit } from "../../nri/messages.ts";
import { codec } from "../../rpc/codec.ts";
import { fromOciResources } from "./resource-messages.ts";
import { schedulingMessage } from "./scheduling-messages.ts";

/** As a plugin reads it. */
function sent(message: LinuxContainerInit) {
  const wire = codec("nri.pkg.api.v1alpha1.LinuxContainer");
  return wire.decode(wire.encode(message));
}

test("every limit of a spec is told to plugins", () => {
  const { resources } = sent({
    resources: fromOciResources({
      memory: {
        limit: 1,
        reservation: 2,
        swap: 3,
        kernel: 4,
        kernelTCP: 5,
        swappiness: 6,
        disableOOMKiller: true,
        useHierarchy: false,
      },
      cpu: {
        shares: 1,
        quota: -1,
        period: 3,
        realtimeRuntime: 4,
        realtimePeriod: 5,
        cpus: "0-1",
        mems: "0",
      },
      pids: { limit: 7 },
      hugepageLimits: [{ pageSize: "2MB", limit: 8n }],
      unified: { "memory.high": "9" },
      devices: [{ allow: true, type: "c", major: 1, access: "rw" }],
    }),
  });
  assert.deepEqual(resources, {
    memory: {
      limit: { value: 1n },
      reservation: { value: 2n },
      swap: { value: 3n },
      kernel: { value: 4n },
      kernelTcp: { value: 5n },
      swappiness: { value: 6n },
      disableOomKiller: { value: true },
      useHierarchy: { value: false },
    },
    cpu: {
      shares: { value: 1n },
      quota: { value: -1n },
      period: { value: 3n },
      realtimeRuntime: { value: 4n },
      realtimePeriod: { value: 5n },
      cpus: "0-1",
      mems: "0",
    },
    hugepageLimits: [{ pageSize: "2MB", limit: 8n }],
    blockioClass: null,
    rdtClass: null,
    unified: { "memory.high": "9" },
    devices: [{ allow: true, type: "c", major: { value: 1n }, minor: null, access: "rw" }],
    pids: { limit: 7n },
  });
});

test("priorities are told to plugins; a name that NRI lacks is none", () => {
  const { ioPriority, scheduler } = sent(
    schedulingMessage({
      ioPriority: { class: "IOPRIO_CLASS_BE", priority: 3 },
      scheduler: {
        policy: "SCHED_DEADLINE",
        nice: -5,
        flags: ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_OF_TOMORROW"],
        runtime: 10,
        deadline: 20,
        period: 30,
      },
    }),
  );
  assert.deepEqual(ioPriority, { class: "IOPRIO_CLASS_BE", priority: 3 });
  assert.deepEqual(scheduler, {
    policy: "SCHED_DEADLINE",
    nice: -5,
    priority: 0,
    flags: ["SCHED_FLAG_RECLAIM"],
    runtime: 10n,
    deadline: 20n,
    period: 30n,
  });
  const strange = sent(
    schedulingMessage({
      ioPriority: { class: "IOPRIO_CLASS_OF_TOMORROW", priority: 1 },
      scheduler: { policy: "SCHED_EXT" },
    }),
  );
  assert.equal(strange.ioPriority?.class, "IOPRIO_CLASS_NONE");
  assert.equal(strange.scheduler?.policy, "SCHED_NONE");
  assert.equal(sent(schedulingMessage({})).scheduler, null);
});
