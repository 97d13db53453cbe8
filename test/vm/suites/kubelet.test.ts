// SPDX-License-Identifier: Apache-2.0
// A real kubelet on cgroup v2: what it asks of the runtime must arrive in the cgroups, and follow a resize in place.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { V1PodSpec, V1ResourceRequirements } from "@kubernetes/client-node";
import { until } from "../../support/until.ts";
import { type GuestKubelet, kubeletProgram, startGuestKubelet } from "../guest/kubelet.ts";
import { cgroupFile, GuestNode } from "../guest/node.ts";

const mebibyte = 1024 * 1024;
const of = (cpu: string, memory: string) => ({ cpu, memory });

type PodName = "guaranteed" | "burstable" | "shared";

/** As manifests name them, and by that a pod stays the same when its file changes. */
const uids: Readonly<Record<PodName, string>> = {
  guaranteed: "00000000-0000-4000-8000-000000000001",
  burstable: "00000000-0000-4000-8000-000000000002",
  shared: "00000000-0000-4000-8000-000000000003",
};

/** memory.high of MemoryQoS: nine tenths of the way from the request to the limit, in whole pages. */
const throttled = (request: number, limit: number): string =>
  String(Math.floor(((request + (limit - request) * 0.9) * mebibyte) / 4096) * 4096);
const mib = (count: number): string => String(count * mebibyte);

interface Expected {
  readonly container: Readonly<Record<string, string>>;
  readonly pod: Readonly<Record<string, string>>;
}

interface Case {
  readonly name: string;
  readonly pod: PodName;
  /** Of the pod, where they are not the container's. */
  readonly level: "container" | "pod";
  readonly resources: V1ResourceRequirements;
  readonly expected: Expected;
}

const first: readonly Case[] = [
  {
    name: "a guaranteed pod's memory is kept for it",
    pod: "guaranteed",
    level: "container",
    resources: { requests: of("100m", "64Mi"), limits: of("100m", "64Mi") },
    expected: {
      container: {
        "memory.min": mib(64),
        "memory.low": "0",
        "memory.high": "max",
        "memory.max": mib(64),
        "cpu.max": "10000 100000",
      },
      pod: { "memory.min": mib(64), "memory.max": mib(64), "cpu.max": "10000 100000" },
    },
  },
  {
    name: "a burstable pod is throttled before its limit",
    pod: "burstable",
    level: "container",
    resources: { requests: of("100m", "32Mi"), limits: of("200m", "96Mi") },
    expected: {
      container: {
        "memory.min": "0",
        "memory.low": mib(32),
        "memory.high": throttled(32, 96),
        "memory.max": mib(96),
        "cpu.max": "20000 100000",
      },
      pod: { "memory.low": mib(32), "memory.max": mib(96), "cpu.max": "20000 100000" },
    },
  },
  {
    name: "resources of a pod are its cgroup's",
    pod: "shared",
    level: "pod",
    resources: { requests: of("100m", "64Mi"), limits: of("300m", "128Mi") },
    expected: {
      container: { "memory.high": "max", "memory.max": mib(128), "cpu.max": "30000 100000" },
      pod: {
        "memory.high": throttled(64, 128),
        "memory.max": mib(128),
        "cpu.max": "30000 100000",
      },
    },
  },
];

const resized: readonly Case[] = [
  {
    name: "more memory and CPU",
    pod: "burstable",
    level: "container",
    resources: { requests: of("150m", "48Mi"), limits: of("400m", "160Mi") },
    expected: {
      container: {
        "memory.low": mib(48),
        "memory.high": throttled(48, 160),
        "memory.max": mib(160),
        "cpu.max": "40000 100000",
      },
      pod: { "memory.low": mib(48), "memory.max": mib(160), "cpu.max": "40000 100000" },
    },
  },
  {
    name: "less memory and CPU",
    pod: "burstable",
    level: "container",
    resources: { requests: of("50m", "24Mi"), limits: of("100m", "64Mi") },
    expected: {
      container: {
        "memory.low": mib(24),
        "memory.high": throttled(24, 64),
        "memory.max": mib(64),
        "cpu.max": "10000 100000",
      },
      pod: { "memory.low": mib(24), "memory.max": mib(64), "cpu.max": "10000 100000" },
    },
  },
  {
    name: "more for a pod as a whole",
    pod: "shared",
    level: "pod",
    resources: { requests: of("100m", "64Mi"), limits: of("500m", "192Mi") },
    expected: {
      container: { "memory.max": mib(192), "cpu.max": "50000 100000" },
      pod: {
        "memory.high": throttled(64, 192),
        "memory.max": mib(192),
        "cpu.max": "50000 100000",
      },
    },
  },
];

/** Times until.ts's patience: where all is emulated, and the machine does much else, three pods take two minutes. */
const patience = { timeoutMs: 25_000, everyMs: 1000 };

suite("a kubelet on cgroup v2", {
  skip: existsSync(kubeletProgram) ? false : "needs kubelet",
}, () => {
  const node = new GuestNode();
  const { cri } = node;
  let kubelet: GuestKubelet;
  const ids = new Map<PodName, string>();

  const specOf = ({ level, resources }: Case): V1PodSpec => ({
    terminationGracePeriodSeconds: 0,
    ...(level === "pod" && { resources }),
    containers: [
      {
        name: "main",
        image: node.image("shell"),
        imagePullPolicy: "IfNotPresent",
        command: ["sleep", "100000"],
        ...(level === "container" && { resources }),
      },
    ],
  });
  const place = (one: Case): Promise<void> => kubelet.place(one.pod, uids[one.pod], specOf(one));

  const containerOf = async (pod: PodName): Promise<string> => {
    const labelSelector = { "io.kubernetes.pod.uid": uids[pod] };
    const { containers } = await cri.runtime.ListContainers({
      filter: { labelSelector, state: { state: "CONTAINER_RUNNING" } },
    });
    const [one, ...more] = containers;
    if (one === undefined || more.length > 0) throw new Error(`${containers.length} run`);
    return one.id;
  };

  const found = async (cgroup: string, expected: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      await Promise.all(
        Object.keys(expected).map(async (file) => [file, await cgroupFile(cgroup, file)]),
      ),
    ) as Record<string, string>;

  /** Waits until all is as expected; the difference is the error when it never is. */
  const holds = async ({ pod, expected }: Case, id: string): Promise<void> => {
    const cgroup = await node.cgroupOf(id);
    const look = async () => ({
      container: await found(cgroup, expected.container),
      pod: await found(path.dirname(cgroup), expected.pod),
    });
    try {
      await until(
        "the cgroups have it",
        async () => {
          assert.deepEqual(await look(), expected);
          return true;
        },
        patience,
      );
    } catch (error) {
      const lines = (await kubelet.log()).split("\n").filter((it) => /resiz|resource/i.test(it));
      console.log(`${pod}:\n${lines.slice(-30).join("\n")}`);
      assert.deepEqual(await look(), expected, String(error));
    }
  };

  before(async () => {
    await node.pull();
    kubelet = await startGuestKubelet();
    for (const one of first) await place(one);
  });
  after(async () => {
    await kubelet?.[Symbol.asyncDispose]();
    await node[Symbol.asyncDispose]();
  });

  for (const one of first) {
    test(one.name, async () => {
      const id = await until(`${one.pod} runs`, () => containerOf(one.pod), patience);
      ids.set(one.pod, id);
      await holds(one, id);
    });
  }

  for (const one of resized) {
    test(`resized in place: ${one.name}`, async () => {
      const id = ids.get(one.pod) ?? "";
      await place(one);
      await holds(one, id);
      assert.equal(await containerOf(one.pod), id, "it is the same container");
      const { resources, state } = await cri.status(id);
      assert.equal(state, "CONTAINER_RUNNING");
      const limit = one.expected.container["memory.max"];
      assert.equal(String(resources?.linux?.memoryLimitInBytes), limit);
    });
  }

  test("the pods' figures are what the kubelet tells of", async () => {
    const pod = await kubelet.api.pod("burstable-localhost");
    const [main] = pod.status?.containerStatuses ?? [];
    assert.deepEqual([main?.restartCount, main?.resources?.limits], [0, of("100m", "64Mi")]);
  });
});
