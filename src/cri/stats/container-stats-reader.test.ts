// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerStatsInit } from "../../gen/cri.gen.ts";
import type { CgroupSample } from "../../metrics/cgroup/cgroup-sample.ts";
import { codec } from "../../rpc/codec.ts";
import type { SnapshotUsage } from "../../snapshots/ports.ts";
import type { StatsTarget } from "../ports.ts";
import {
  type ContainerStatsOptions,
  createContainerStatsReader,
} from "./container-stats-reader.ts";
import { CpuRates } from "./cpu-rate.ts";
import { RecentMap } from "./recent-map.ts";
import { type LayerSource, WritableLayers } from "./writable-layers.ts";

const target = (changes: Partial<StatsTarget> = {}): StatsTarget => ({
  id: "c1",
  sandboxId: "s1",
  isSandbox: false,
  name: "app",
  attempt: 2,
  labels: { l: "1" },
  annotations: { a: "2" },
  image: "img",
  pid: 10,
  cgroupsPath: "/k8s.io/c1",
  startedAtNanos: 1n,
  netnsPath: "",
  snapshotKey: "c1",
  sandboxConfig: codec("runtime.v1.PodSandboxConfig").normalize({}),
  ...changes,
});

const sampleAt = (takenAtNanos: bigint, usageNanos: bigint, limitBytes?: bigint): CgroupSample => ({
  takenAtNanos,
  cpu: {
    usageNanos,
    userNanos: 0n,
    systemNanos: 0n,
    periods: 0n,
    throttledPeriods: 0n,
    throttledNanos: 0n,
    pressure: undefined,
  },
  memory: {
    usageBytes: 1000n,
    limitBytes,
    workingSetBytes: 800n,
    rssBytes: 400n,
    cacheBytes: 0n,
    mappedFileBytes: 0n,
    kernelBytes: 0n,
    maxUsageBytes: undefined,
    failures: 0n,
    pageFaults: 7n,
    majorPageFaults: 3n,
    activeFileBytes: 0n,
    inactiveFileBytes: 200n,
    pressure: undefined,
  },
  swap: { usageBytes: 5n, limitBytes: 20n },
  oomKills: 0n,
  pids: undefined,
  io: [],
  ioPressure: {
    some: { totalNanos: 9n, avg10: 1, avg60: 2, avg300: 3 },
    full: { totalNanos: 8n, avg10: 0, avg60: 0, avg300: 0 },
  },
  hugetlb: [],
});

const call = { signal: new AbortController().signal };
const layersOf = (snapshotUsage: LayerSource["snapshotUsage"]): WritableLayers =>
  new WritableLayers({ snapshotUsage, statsPeriodMs: () => 1000 });
const options = (changes: Partial<ContainerStatsOptions>): ContainerStatsOptions => ({
  layout: { locate: (cgroupsPath) => ({ version: 2, folder: cgroupsPath }) },
  layers: layersOf(async () => ({ sizeBytes: 4096n, inodes: 3n })),
  snapshotMountpoint: "/var/lib/berthd",
  readUsage: async () => sampleAt(1_000_000_000n, 10n),
  ...changes,
});
const normal = (stats: ContainerStatsInit) => codec("runtime.v1.ContainerStats").normalize(stats);

test("one container's stats, through the wire form", async () => {
  const reader = createContainerStatsReader(
    options({ readUsage: async () => sampleAt(5n, 10n, 1000n) }),
  );
  const stats = codec("runtime.v1.ContainerStats").decode(
    codec("runtime.v1.ContainerStats").encode(await reader.one(target(), call)),
  );
  assert.deepEqual(stats.attributes, {
    id: "c1",
    metadata: { name: "app", attempt: 2 },
    labels: { l: "1" },
    annotations: { a: "2" },
  });
  assert.deepEqual(
    [stats.cpu?.timestamp, stats.cpu?.usageCoreNanoSeconds?.value, stats.cpu?.usageNanoCores],
    [5n, 10n, null],
  );
  const { memory, swap, io, writableLayer } = stats;
  assert.deepEqual(
    [
      memory?.workingSetBytes?.value,
      memory?.availableBytes?.value,
      memory?.usageBytes?.value,
      memory?.rssBytes?.value,
      memory?.pageFaults?.value,
      memory?.majorPageFaults?.value,
    ],
    [800n, 200n, 1000n, 400n, 7n, 3n],
  );
  assert.deepEqual([swap?.swapUsageBytes?.value, swap?.swapAvailableBytes?.value], [5n, 15n]);
  assert.deepEqual(
    [io?.psi?.Some?.Total, io?.psi?.Some?.Avg300, io?.psi?.Full?.Total],
    [9n, 3, 8n],
  );
  assert.deepEqual(
    [
      writableLayer?.fsId?.mountpoint,
      writableLayer?.usedBytes?.value,
      writableLayer?.inodesUsed?.value,
    ],
    ["/var/lib/berthd", 4096n, 3n],
  );
  assert.ok((writableLayer?.timestamp ?? 0n) > 0n);
});

test("available_bytes is unset without a limit", async () => {
  const reader = createContainerStatsReader(options({}));
  assert.equal(normal(await reader.one(target(), call)).memory?.availableBytes, null);
});

test("the second reading brings nano cores, also after a list", async () => {
  let at = 0n;
  const reader = createContainerStatsReader(
    options({ readUsage: async () => sampleAt((at += 1n) * 2_000_000_000n, at * 500_000_000n) }),
  );
  const [first] = await reader.list([target()], call, (stats) => stats);
  assert.ok(first && normal(first).cpu?.usageNanoCores === null);
  assert.equal(normal(await reader.one(target(), call)).cpu?.usageNanoCores?.value, 250_000_000n);
});

test("a list leaves out what stopped, what is gone and what cannot be read", async () => {
  const readUsage: ContainerStatsOptions["readUsage"] = async (paths) => {
    const folder = paths.version === 2 ? paths.folder : "";
    if (folder === "/broken") throw new Error("EIO");
    return folder === "/gone" ? undefined : sampleAt(1n, 1n);
  };
  const reader = createContainerStatsReader(options({ readUsage }));
  const targets = [
    target({ id: "a" }),
    target({ id: "broken", cgroupsPath: "/broken" }),
    target({ id: "gone", cgroupsPath: "/gone" }),
    target({ id: "stopped", pid: 0 }),
  ];
  assert.deepEqual(
    (await reader.list(targets, call, (stats) => stats)).map((stats) => stats.attributes?.id),
    ["a"],
  );
});

test("a stopped container has its identity and its layer, and a layer that fails leaves the rest", async () => {
  const reader = createContainerStatsReader(options({}));
  const stopped = normal(await reader.one(target({ pid: 0 }), call));
  assert.deepEqual(
    [stopped.attributes?.metadata?.name, stopped.cpu, stopped.writableLayer?.usedBytes?.value],
    ["app", null, 4096n],
  );
  const failing = createContainerStatsReader(
    options({ layers: layersOf(() => Promise.reject(new Error("EIO"))) }),
  );
  const stats = normal(await failing.one(target(), call));
  assert.deepEqual(
    [stats.writableLayer?.usedBytes, stats.writableLayer?.fsId?.mountpoint, stats.cpu !== null],
    [null, "/var/lib/berthd", true],
  );
});

test("a writable layer is walked once a period, however many ask", async () => {
  let walks = 0;
  const reader = createContainerStatsReader(
    options({
      layers: new WritableLayers({
        statsPeriodMs: () => 3_600_000,
        snapshotUsage: async () => {
          walks += 1;
          return { sizeBytes: 1n, inodes: 1n };
        },
      }),
    }),
  );
  await Promise.all([reader.one(target(), call), reader.list([target()], call, (stats) => stats)]);
  await reader.one(target(), call);
  assert.equal(walks, 1);
});

test("long walks of layers take turns, and rest; short ones do not wait", async () => {
  let now = 0;
  const cost: Readonly<Record<string, number>> = { big: 4000, huge: 8000, small: 1 };
  const begun: string[] = [];
  const gate = { open: Promise.resolve() };
  const layers = new WritableLayers(
    {
      statsPeriodMs: () => 1000,
      snapshotUsage: async (key) => {
        begun.push(key);
        await gate.open;
        now += cost[key] ?? 0;
        return { sizeBytes: BigInt(begun.length), inodes: 1n };
      },
    },
    () => now,
  );
  const ask = async (...keys: readonly string[]): Promise<readonly string[]> => {
    begun.length = 0;
    for (const key of keys) await layers.usage(key);
    await new Promise((resolve) => setImmediate(resolve));
    return [...begun];
  };
  assert.deepEqual(await ask("big", "huge", "small"), ["big", "huge", "small"]);
  // 12 s of walking: at 1 s a second of rest is over for none but the small one.
  now += 1000;
  assert.deepEqual(await ask("big", "huge", "small"), ["small"]);
  now += 3 * 12_000;
  assert.deepEqual(await ask("huge", "big"), ["big"], "the one that waits longest");
  now += 3 * 4000;
  const { promise, resolve } = Promise.withResolvers<void>();
  gate.open = promise;
  assert.deepEqual(await ask("big", "huge"), ["huge"]);
  now += 3_600_000;
  const before = await layers.usage("huge");
  assert.deepEqual(await ask("huge", "big"), [], "an hour later the same walk is on its way");
  resolve();
  await new Promise((done) => setImmediate(done));
  assert.notEqual((await layers.usage("huge"))?.sizeBytes, undefined);
  assert.notEqual(await layers.usage("huge"), before);
});

test("a walk that was cut short raises a layer's figure, and never lowers it", async () => {
  const usage = (sizeBytes: bigint, inodes: bigint): SnapshotUsage => ({ sizeBytes, inodes });
  const rows: readonly (readonly [SnapshotUsage, bigint, bigint])[] = [
    [{ ...usage(10n, 2n), isPartial: true }, 10n, 2n],
    [usage(100n, 20n), 100n, 20n],
    [{ ...usage(50n, 30n), isPartial: true }, 100n, 30n],
    [{ ...usage(150n, 5n), isPartial: true }, 150n, 30n],
    [usage(60n, 6n), 60n, 6n],
  ];
  const left = rows.map(([found]) => found);
  let now = 0;
  const bounds: unknown[] = [];
  const layers = new WritableLayers(
    {
      statsPeriodMs: () => 1000,
      snapshotUsage: async (_key, { longestMs }) => {
        bounds.push(longestMs);
        now += 100; // a long one
        return left.shift() ?? usage(0n, 0n);
      },
    },
    () => now,
  );
  for (const [index, [, sizeBytes, inodes]] of rows.entries()) {
    now += 3_600_000;
    await layers.usage("layer");
    await new Promise((resolve) => setImmediate(resolve));
    const found = await layers.usage("layer");
    assert.deepEqual([found?.sizeBytes, found?.inodes], [sizeBytes, inodes], `walk ${index}`);
  }
  assert.deepEqual(bounds, [10_000, 600_000, 600_000, 600_000, 600_000]);
});

test("an aborted call reads nothing", async () => {
  const reader = createContainerStatsReader(options({}));
  await assert.rejects(reader.one(target(), { signal: AbortSignal.abort() }));
});

test("CpuRates keeps the last rate for hasty calls and starts anew when the counter falls", () => {
  const rates = new CpuRates();
  assert.equal(rates.update("a", 100n, 0n), undefined);
  assert.equal(rates.update("a", 200n, 100n), undefined);
  assert.equal(rates.update("a", 1_000_000_100n, 2_000_000_000n), 500_000_000n);
  assert.equal(rates.update("a", 1_000_000_200n, 2_000_000_001n), 500_000_000n);
  assert.equal(rates.update("a", 5n, 3_000_000_000n), undefined);
});

test("RecentMap forgets what nobody asks for", () => {
  let now = 0;
  const map = new RecentMap<number>(100, () => now);
  map.set("a", 1);
  map.set("b", 2);
  now = 60;
  assert.equal(map.get("a"), 1);
  now = 120;
  map.set("c", 3);
  assert.deepEqual([map.get("a"), map.get("b"), map.get("c"), map.size], [1, undefined, 3, 2]);
});
