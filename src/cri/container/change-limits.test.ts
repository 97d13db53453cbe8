// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LinuxContainerResources } from "../../gen/cri.gen.ts";
import { codec } from "../../rpc/codec.ts";
import { limitsWithPlugins, mergeResources } from "./change-limits.ts";

const limits = (change: Partial<LinuxContainerResources>): LinuxContainerResources =>
  codec("runtime.v1.LinuxContainerResources").normalize(change);

test("a change of one file, or of one size of pages, leaves the others", () => {
  const before = limits({
    unified: { "memory.high": "1", "memory.swap.max": "0" },
    hugepageLimits: [
      { pageSize: "2MB", limit: 1n },
      { pageSize: "1GB", limit: 2n },
    ],
  });
  const change = limits({
    unified: { "memory.high": "9" },
    hugepageLimits: [{ pageSize: "2MB", limit: 7n }],
  });
  const { unified, hugepageLimits } = mergeResources(before, change);
  assert.deepEqual(unified, { "memory.high": "9", "memory.swap.max": "0" });
  assert.deepEqual(hugepageLimits, [
    { pageSize: "1GB", limit: 2n },
    { pageSize: "2MB", limit: 7n },
  ]);
});

const swaps: readonly {
  readonly name: string;
  readonly requested: readonly [bigint, bigint];
  readonly adjusted: readonly [bigint, bigint];
  readonly holds: readonly [bigint, bigint];
}[] = [
  { name: "nothing", requested: [64n, 64n], adjusted: [0n, 0n], holds: [64n, 64n] },
  { name: "a higher limit", requested: [64n, 64n], adjusted: [128n, 0n], holds: [128n, 128n] },
  { name: "a lower limit", requested: [64n, 64n], adjusted: [32n, 0n], holds: [32n, 32n] },
  { name: "swap too", requested: [64n, 64n], adjusted: [64n, 128n], holds: [64n, 128n] },
  { name: "a limit, of no swap", requested: [64n, 0n], adjusted: [32n, 0n], holds: [32n, 0n] },
  { name: "no limit", requested: [64n, 64n], adjusted: [-1n, 0n], holds: [0n, 0n] },
];
for (const { name, requested, adjusted, holds } of swaps) {
  test(`memory and swap that hold when a plugin says ${name}`, () => {
    const of = ([memoryLimitInBytes, memorySwapLimitInBytes]: readonly [bigint, bigint]) =>
      limits({ memoryLimitInBytes, memorySwapLimitInBytes });
    const found = limitsWithPlugins(of(requested), of(adjusted));
    assert.deepEqual([found.memoryLimitInBytes, found.memorySwapLimitInBytes], holds);
  });
}
