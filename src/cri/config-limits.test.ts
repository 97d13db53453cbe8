// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { codec } from "../rpc/codec.ts";
import { checkContainerConfigSize, checkSandboxConfigSize } from "./config-limits.ts";

const container = codec("runtime.v1.ContainerConfig");
const env = (key: string, length: number): { key: string; value: Buffer } => ({
  key,
  value: Buffer.alloc(length, "x"),
});
const many = (count: number): { key: string; value: Buffer }[] =>
  Array.from({ length: count }, (_, index) => env(`E${index}`, 100_000));

const refused: readonly (readonly [Parameters<typeof container.normalize>[0], RegExp])[] = [
  [
    { envs: [env("A", 1), env("BIG", 131_072 - 4)] },
    /^config\.envs\[1\] \(BIG\) is too long: it takes 131073 bytes, and the kernel passes 131072 at/,
  ],
  [{ args: ["a", "é".repeat(65_536)] }, /^config\.args\[1\] is too long: it takes 131073 bytes/],
  [{ command: ["x".repeat(131_072)] }, /^config\.command\[0\] is too long/],
  [{ envs: many(21) }, /^config is too large: it has \d+ bytes, and may have 2097152$/],
  [
    { envs: Array.from({ length: 20_001 }, (_, at) => env(`E${at}`, 0)) },
    /^config has too many entries: .* are 20001, and may be 20000$/,
  ],
  [{ annotations: { a: "x".repeat(3_000_000) } }, /^config is too large/],
];
for (const [config, message] of refused) {
  test(`a container's config is refused: ${message.source}`, () => {
    assert.throws(() => checkContainerConfigSize(container.normalize(config)), {
      code: "INVALID_ARGUMENT",
      message,
    });
  });
}

test("a container's config with a megabyte of environment, and the longest string, is taken", () => {
  const envs = [...many(10), env("BIG", 131_072 - 5)];
  checkContainerConfigSize(container.normalize({ envs, args: ["x".repeat(131_071)] }));
});

test("a sandbox's config that is too large is refused", () => {
  const config = codec("runtime.v1.PodSandboxConfig").normalize({
    annotations: { a: "x".repeat(2 * 1024 * 1024) },
  });
  assert.throws(() => checkSandboxConfigSize(config), { code: "INVALID_ARGUMENT" });
});
