// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { bestFor, hostPlatform, type Platform } from "./platform.ts";

const of = (text: string): Platform => {
  const [os = "", architecture = "", variant = ""] = text.split("/");
  return { os, architecture, variant };
};

const cases: readonly (readonly [
  wanted: string,
  offered: readonly string[],
  best: string | undefined,
])[] = [
  ["linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"],
  ["linux/amd64", ["windows/amd64"], undefined],
  ["linux/amd64", ["linux/amd64/v3", "linux/amd64"], "linux/amd64"],
  ["linux/amd64", ["linux/amd64/v3"], undefined],
  ["linux/arm64", ["linux/arm64/v8"], "linux/arm64/v8"],
  ["linux/arm64/v8", ["linux/arm/v7", "linux/arm64"], "linux/arm64"],
  ["linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], "linux/arm/v6"],
  ["linux/arm/v6", ["linux/arm/v7", "linux/arm/v6"], "linux/arm/v6"],
  ["linux/arm", ["linux/arm/v7"], "linux/arm/v7"],
  ["linux/riscv64", ["linux/amd64", "unknown/unknown"], undefined],
];

for (const [wanted, offered, best] of cases) {
  test(`${wanted} takes ${best ?? "none"} of ${offered.join(", ")}`, () => {
    const found = bestFor(
      of(wanted),
      offered.map((text) => ({ text, platform: of(text) })),
    );
    assert.equal(found?.text, best);
  });
}

test("an index without platforms gives its first", () => {
  assert.deepEqual(
    bestFor<{ platform?: Platform; n: number }>(of("linux/amd64"), [{ n: 1 }, { n: 2 }]),
    { n: 1 },
  );
});

test("hostPlatform speaks Go's names", () => {
  assert.deepEqual(hostPlatform("x64"), of("linux/amd64"));
  assert.deepEqual(hostPlatform("arm64"), of("linux/arm64"));
});
