// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { candidatesFor, hostPlatform, type Platform } from "./platform.ts";

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
  ["linux/amd64", ["Linux/X86_64"], "Linux/X86_64"],
  ["linux/amd64", ["/amd64"], "/amd64"],
  ["linux/amd64", ["linux/i386", "linux/x86-64/v1"], "linux/x86-64/v1"],
  ["linux/amd64", ["linux/arm64", "linux/386"], "linux/386"],
  ["linux/386", ["linux/amd64"], undefined],
  ["linux/arm64", ["linux/aarch64"], "linux/aarch64"],
  ["linux/arm64", ["linux/arm/v6", "linux/armhf"], "linux/armhf"],
  ["linux/arm/v6", ["linux/armhf", "linux/armel"], "linux/armel"],
  ["linux/riscv64", ["linux/amd64", "unknown/unknown"], undefined],
];

for (const [wanted, offered, best] of cases) {
  test(`${wanted} takes ${best ?? "none"} of ${offered.join(", ")}`, () => {
    const [found] = candidatesFor(
      of(wanted),
      offered.map((text) => ({ text, platform: of(text) })),
    );
    assert.equal(found?.text, best);
  });
}

test("entries without a platform are tried in their order, where no other fits", () => {
  const unnamed: readonly { platform?: Platform; n: number }[] = [{ n: 1 }, { n: 2 }];
  const other = { platform: of("linux/arm64"), n: 3 };
  assert.deepEqual(candidatesFor(of("linux/riscv64"), [other, ...unnamed]), unnamed);
  assert.deepEqual(candidatesFor(of("linux/arm64"), [...unnamed, other]), [other]);
});

test("hostPlatform speaks Go's names", () => {
  assert.deepEqual(hostPlatform("x64"), of("linux/amd64"));
  assert.deepEqual(hostPlatform("arm64"), of("linux/arm64"));
});
