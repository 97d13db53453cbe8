// SPDX-License-Identifier: Apache-2.0
// The daemon in a memory cgroup of 300 MB, and its shims in it too, as they are unless the operator says
// otherwise: it refuses pods that do not fit, ends all of them at once, and nothing is killed.
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { outcomeOf, toldOutcome } from "../../support/call-outcome.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { type MemoryCgroup, makeMemoryCgroup } from "../../support/memory-cgroup.ts";
import type { RunningPod } from "../../support/pods.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const mib = 2 ** 20;
const lacks = lacking(...podPrograms);
const cgroup =
  lacks === false
    ? await makeMemoryCgroup(`berth-limits-shims-${process.pid}`, 300_000_000)
    : undefined;
const skip =
  lacks || (cgroup === undefined ? "needs a writable cgroup tree: none for memory" : false);

suite("in a memory cgroup of 300 MB, with its shims", { skip }, () => {
  let own: MemoryCgroup;
  let bed: Testbed;
  let pid: number;
  const pods: RunningPod[] = [];
  const containers: string[] = [];

  before(async () => {
    assert.ok(cgroup);
    own = cgroup;
    bed = await openTestbed({ logLevel: "info", cgroupProcs: own.procs });
    pid = bed.daemon.pid();
  });
  after(async () => {
    await bed?.finish();
    await own?.[Symbol.asyncDispose]();
  });

  function livesOn(say: (text: string) => void): void {
    say(`${Math.round(own.anonymousBytes() / mib)} MiB held`);
    assert.equal(own.oomKills(), 0, "something was killed for lack of memory");
    assert.equal(bed.daemon.pid(), pid);
    process.kill(pid, 0);
  }

  test("100 pods at once: as many run as fit, the others are refused", async (t) => {
    const running = Array.from({ length: 100 }, async () => {
      const pod = await bed.cri.runPod();
      pods.push(pod);
    });
    const outcome = await outcomeOf(running);
    t.diagnostic(toldOutcome(outcome));
    livesOn((text) => t.diagnostic(text));
    assert.ok(pods.length >= 20, `${pods.length} pods run`);
    assert.equal(outcome.served, pods.length);
  });

  test("containers and commands in all of them at once", async (t) => {
    const started = pods.map(async (pod) => {
      const command = ["sh", "-c", "while :; do sleep 1000; done"];
      containers.push(await bed.cri.startContainer(pod, bed.images.shell.reference, command));
    });
    t.diagnostic(toldOutcome(await outcomeOf(started)));
    const execs = Array.from({ length: 200 }, (_none, at) => {
      const containerId = containers[at % containers.length] ?? "";
      const cmd = ["head", "-c", "200000", "/dev/zero"];
      return bed.cri.runtime.ExecSync({ containerId, cmd });
    });
    t.diagnostic(toldOutcome(await outcomeOf(execs)));
    livesOn((text) => t.diagnostic(text));
  });

  test("a full node runs the probes of what it runs", async () => {
    const probe = async (containerId: string): Promise<boolean> => {
      const { stdout } = await bed.cri.exec(containerId, ["echo", "ready"]);
      return stdout === "ready\n";
    };
    await until("the burst has gone", () => probe(containers[0] ?? ""), { timeoutMs: 180_000 });
    for (const containerId of containers) assert.ok(await probe(containerId));
  });

  test("all of them end at once", async (t) => {
    const ended = pods.map(async ({ id }) => {
      await bed.cri.runtime.StopPodSandbox({ podSandboxId: id });
      await bed.cri.runtime.RemovePodSandbox({ podSandboxId: id });
    });
    for (const { status, reason } of (await Promise.allSettled(ended)) as {
      status: string;
      reason?: Error;
    }[]) {
      assert.equal(status, "fulfilled", String(reason));
    }
    livesOn((text) => t.diagnostic(text));
  });

  test("then there is room for pods again", async (t) => {
    await until("five pods run", async () => {
      const outcome = await outcomeOf(Array.from({ length: 5 }, async () => bed.cri.runPod()));
      return outcome.served === 5;
    });
    livesOn((text) => t.diagnostic(text));
  });
});
