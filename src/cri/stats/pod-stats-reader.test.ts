// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { podConfig } from "../../../test/support/cri/fake-world.ts";
import type { CgroupSample } from "../../metrics/cgroup/cgroup-sample.ts";
import { parseNetDev } from "../../metrics/interface-counters.ts";
import { codec } from "../../rpc/codec.ts";
import type { PodStatsTarget, StatsTarget } from "../ports.ts";
import { createPodStatsReader, toNetworkUsage } from "./pod-stats-reader.ts";

const call = { signal: new AbortController().signal };

const sample: CgroupSample = {
  takenAtNanos: 1n,
  cpu: {
    usageNanos: 42n,
    userNanos: 0n,
    systemNanos: 0n,
    periods: 0n,
    throttledPeriods: 0n,
    throttledNanos: 0n,
    pressure: undefined,
  },
  memory: undefined,
  swap: undefined,
  oomKills: 0n,
  pids: undefined,
  io: [],
  ioPressure: undefined,
  hugetlb: [],
};

function target(id: string, changes: Partial<StatsTarget> = {}): StatsTarget {
  return {
    id,
    sandboxId: "pod",
    isSandbox: false,
    name: id,
    attempt: 0,
    labels: {},
    annotations: {},
    image: "img",
    pid: 7,
    cgroupsPath: `/pods/${id}`,
    startedAtNanos: 1n,
    netnsPath: "/netns/x",
    snapshotKey: "",
    sandboxConfig: codec("runtime.v1.PodSandboxConfig").normalize(podConfig()),
    ...changes,
  };
}

const pod = (id: string, changes: Partial<PodStatsTarget> = {}): PodStatsTarget => ({
  sandbox: target(id, { isSandbox: true }),
  cgroupParent: `/pods/${id}`,
  containers: [target(`${id}-a`), target(`${id}-b`)],
  ...changes,
});

const traffic =
  "h\nh\n lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n net1: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n eth0: 7 1 2 0 0 0 0 0 8 1 3 0 0 0 0 0\n";

const parts: Parameters<typeof createPodStatsReader>[0] = {
  layout: { locate: (folder) => ({ version: 2, folder }) },
  containers: {
    one: () => Promise.resolve({}),
    list: (targets, _call, keep) =>
      Promise.resolve(
        targets.map(({ id, name }) =>
          keep({
            attributes: { id, metadata: { name } },
            cpu: { usageCoreNanoSeconds: { value: 5n } },
          }),
        ),
      ),
  },
  readUsage: (paths) =>
    paths.version === 2 && paths.folder === "/pods/broken"
      ? Promise.reject(new Error("EIO"))
      : Promise.resolve(sample),
  readProcesses: () => Promise.resolve(2),
  readInterfaces: () => Promise.resolve(parseNetDev(traffic)),
};
const reader = createPodStatsReader(parts);

test("a pod's own cgroup is read after its containers', which go on using it meanwhile", async () => {
  let used = 0n;
  const next = async (): Promise<bigint> => (used += 1n);
  const busy = createPodStatsReader({
    ...parts,
    containers: {
      ...parts.containers,
      list: async (_targets, _call, keep) => [
        keep({ cpu: { usageCoreNanoSeconds: { value: await next() } } }),
      ],
    },
    readUsage: async () => ({ ...sample, cpu: { ...sample.cpu!, usageNanos: await next() } }),
  });
  const { linux } = await busy.one(pod("web"), call);
  assert.equal(linux?.containers?.[0]?.cpu?.usageCoreNanoSeconds?.value, 1n);
  assert.equal(linux?.cpu?.usageCoreNanoSeconds?.value, 2n);
});

test("a pod has its cgroup's figures, its interfaces and its containers", async () => {
  const { attributes, linux } = await reader.one(pod("web"), call);
  assert.deepEqual(attributes?.metadata, {
    name: "web",
    namespace: "shop",
    uid: "u-1",
    attempt: 0,
  });
  assert.equal(linux?.cpu?.usageCoreNanoSeconds?.value, 42n);
  assert.equal(linux?.process?.processCount?.value, 6n, "sandbox and two containers");
  assert.deepEqual(
    [linux?.network?.defaultInterface?.name, linux?.network?.interfaces?.map(({ name }) => name)],
    ["eth0", ["net1"]],
  );
  assert.equal(linux?.network?.defaultInterface?.rxErrors?.value, 2n);
  assert.equal(linux?.containers?.length, 2);
});

test("a pod without a cgroup of its own uses what its containers do", async () => {
  const { linux } = await reader.one(pod("web", { cgroupParent: "" }), call);
  assert.equal(linux?.cpu?.usageCoreNanoSeconds?.value, 10n);
});

test("a pod that is not ready, or in the node's network, has what there is and nothing missing", async () => {
  const stopped = await reader.one(
    pod("web", { sandbox: target("web", { pid: 0 }), containers: [] }),
    call,
  );
  assert.deepEqual(stopped.linux, { containers: [] });
  assert.equal(stopped.attributes?.id, "web");
  const host = await reader.one(pod("web", { sandbox: target("web", { netnsPath: "" }) }), call);
  assert.equal(host.linux?.network, null);
});

test("a list lacks the pod that cannot be read, and no other", async () => {
  const stats = await reader.list([pod("a"), pod("broken"), pod("b")], call, (stats) => stats);
  assert.deepEqual(
    stats.map(({ attributes }) => attributes?.id),
    ["a", "b"],
  );
});

test("without an eth0 the first interface is the default", () => {
  const only = toNetworkUsage(parseNetDev("h\nh\n ens3: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n"));
  assert.deepEqual([only.defaultInterface?.name, only.interfaces], ["ens3", []]);
});
