// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { containerConfig, FakeWorld } from "../../../test/support/cri/fake-world.ts";
import { until } from "../../../test/support/until.ts";
import { type PodFact, PodFacts } from "../../events/pod-facts.ts";
import { tellPullProgress } from "./pull-progress.ts";
import { tellSlow } from "./tell-facts.ts";

const none = { get: () => undefined };
const pod = { namespace: "shop", name: "web", uid: "u-1" };

function heard(facts: PodFacts): PodFact[] {
  const all: PodFact[] = [];
  facts.listen((fact) => all.push(fact));
  return all;
}

suite("what befalls pods", () => {
  test("is told of a call that is held up, also before its pod has a record", () => {
    const facts = new PodFacts();
    const told = heard(facts);
    const parts = { containers: none, sandboxes: none, facts } as never;
    const view = (rpc: string, object: string, seconds: number) => ({
      rpc,
      object,
      seconds,
      stages: [{ stage: "network", seconds }],
    });
    tellSlow(parts, view("RunPodSandbox", "web_shop_u-1_0", 12)); // not for long enough
    tellSlow(parts, view("RunPodSandbox", "web_shop_u-1_0", 31.4));
    tellSlow(parts, view("CreateContainer", "app_web_shop_u-1_3", 60));
    tellSlow(parts, view("StopContainer", "c".repeat(64), 60)); // gone meanwhile
    assert.deepEqual(told, [
      {
        kind: "RuntimeStageSlow",
        pod,
        subject: "RunPodSandbox network ",
        message: 'RunPodSandbox has been at stage "network" for 31 s',
      },
      {
        kind: "RuntimeStageSlow",
        pod,
        subject: "CreateContainer network app",
        message: 'CreateContainer of container "app" has been at stage "network" for 60 s',
      },
    ]);
    assert.deepEqual([...facts.counts()], [["RuntimeStageSlow", 2]]);
  });

  test("is told of how far a slow pull is, more and more seldom, and no more at its end", async () => {
    const facts = new PodFacts();
    const told = heard(facts);
    const moved = { doneBytes: 3 << 19, totalBytes: 4 << 20, layers: 3, doneLayers: 1 };
    const totals = () => ({ ...moved, state: "downloading" });
    {
      using _telling = tellPullProgress(facts, { pod, image: "app:1", totals, firstMs: 1 });
      await until("it is told", () => told.length > 2);
    }
    const { length } = told;
    await sleep(30);
    assert.equal(told.length, length);
    assert.match(
      told[0]?.message ?? "",
      /^pulling image "app:1" for \d+ s: 1\.5 of 4\.0 MiB, 1 of 3 layers done, downloading$/,
    );
    assert.deepEqual([told[0]?.kind, told[0]?.subject], ["PullProgress", "app:1"]);
  });

  test("is told of CNI's DEL that fails, and of what others notice by a container's id", async () => {
    await using world = await FakeWorld.create();
    const told = heard(world.facts);
    const podSandboxId = await world.runPod();
    const id = await world.startedContainer(podSandboxId);
    const { metadata } = containerConfig();
    world.runtime.notice({ kind: "LogLinesLost", id, message: (name) => `lines of ${name}` });
    world.runtime.notice({ kind: "LogLinesLost", id: "unknown", message: () => "nobody's" });
    assert.deepEqual(
      told.map(({ subject, message }) => [subject, message]),
      [[metadata?.name, `lines of ${metadata?.name}`]],
    );
    world.steps.fail("network down");
    await world.call("StopPodSandbox", { podSandboxId });
    assert.deepEqual(
      told.map(({ kind }) => kind),
      ["LogLinesLost", "NetworkCleanupFailed"],
    );
    assert.equal(told[1]?.pod.namespace, told[0]?.pod.namespace);
  });
});
