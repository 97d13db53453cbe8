// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPinnedName } from "./pinned-names.ts";

test("a pattern is a whole name, with any characters for its stars", () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ["docker.io/a:1", "docker.io/a:1", true],
    ["docker.io/a:1", "docker.io/a:12", false],
    ["docker.io/a:1", "my.docker.io/a:1", false],
    ["docker.io/*", "docker.io/library/a:1", true],
    ["docker.io/*", "docker.iox/a:1", false],
    ["*/pause:*", "registry.k8s.io/pause:3.10", true],
    ["*/pause:*", "registry.k8s.io/pause-x:3.10", false],
    ["*", "anything", true],
    ["*:1", "a:1", true],
    ["*:1", "a:1:2", false],
    ["a*a", "a", false],
    ["a*a", "aa", true],
    ["a*b*c", "aXbYbZc", true],
    ["a*bc*c", "abc", false],
    ["a.c", "abc", false],
    ["", "", true],
    ["", "a", false],
  ];
  for (const [pattern, name, expected] of rows) {
    assert.equal(isPinnedName([pattern], name), expected, `${pattern} ${name}`);
  }
  assert.equal(isPinnedName([], "a"), false);
  assert.equal(isPinnedName(["b", "a"], "a"), true);
});

test("a pattern of many stars takes no time on a name of any length", () => {
  assert.equal(isPinnedName([`${"*a".repeat(2000)}b`], "a".repeat(100_000)), false);
});
