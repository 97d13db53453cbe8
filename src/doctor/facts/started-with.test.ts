// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { optionsOf } from "./started-with.ts";

const cases: readonly (readonly [line: string, options: unknown])[] = [
  ["/usr/bin/berthd serve", { overrides: {} }],
  [
    "node /x/src/cli/berthd.ts serve --config c.toml --root /r",
    { file: "/cwd/c.toml", overrides: { root: "/r" } },
  ],
  [
    "berthd serve -c /c --state=s -a /s/b.sock",
    { file: "/c", overrides: { state: "/cwd/s", grpc: { address: "/s/b.sock" } } },
  ],
  ["containerd serve --config /c", undefined],
  ["berthd config check", undefined],
];

for (const [line, options] of cases) {
  test(`what "${line}" was started with`, () => {
    assert.deepEqual(optionsOf(line.split(" "), "/cwd"), options);
  });
}
