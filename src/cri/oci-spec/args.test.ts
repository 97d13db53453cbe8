// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { specOf, testRefusals } from "../../../test/support/spec-input.ts";
import { refuseUnlessRunnable } from "./args.ts";

const rows = [
  {
    name: "entrypoint and cmd of the image",
    entrypoint: ["/e"],
    cmd: ["c"],
    command: [],
    args: [],
    out: ["/e", "c"],
  },
  {
    name: "args replace cmd",
    entrypoint: ["/e"],
    cmd: ["c"],
    command: [],
    args: ["a"],
    out: ["/e", "a"],
  },
  {
    name: "command drops entrypoint and cmd",
    entrypoint: ["/e"],
    cmd: ["c"],
    command: ["/x"],
    args: [],
    out: ["/x"],
  },
  {
    name: "command with args",
    entrypoint: ["/e"],
    cmd: ["c"],
    command: ["/x"],
    args: ["a"],
    out: ["/x", "a"],
  },
  {
    name: "an empty entrypoint is none",
    entrypoint: [""],
    cmd: ["/c"],
    command: [],
    args: [],
    out: ["/c"],
  },
  {
    name: "args alone are the command line",
    entrypoint: [],
    cmd: [],
    command: [],
    args: ["/a"],
    out: ["/a"],
  },
];

for (const { name, entrypoint, cmd, command, args, out } of rows) {
  test(`process args: ${name}`, async () => {
    const spec = await specOf({ imageConfig: { entrypoint, cmd }, config: { command, args } });
    assert.deepEqual(spec.process.args, out);
  });
}

const folders = [
  { name: "request's", requested: "/r", image: "/i", out: "/r" },
  { name: "image's", requested: "", image: "/i", out: "/i" },
  { name: "image's relative one below the root", requested: "", image: "i", out: "/i" },
  { name: "root", requested: "", image: "", out: "/" },
];

for (const { name, requested, image, out } of folders) {
  test(`working directory: ${name}`, async () => {
    const spec = await specOf({
      imageConfig: { workingDir: image },
      config: { workingDir: requested },
    });
    assert.equal(spec.process.cwd, out);
  });
}

testRefusals([
  {
    name: "a container without any command",
    changes: { imageConfig: { entrypoint: [""], cmd: [] } },
    code: "INVALID_ARGUMENT",
    message: /^command: no command specified/,
  },
  {
    name: "a NUL in an argument",
    changes: { config: { command: ["a\0b"] } },
    code: "INVALID_ARGUMENT",
    message: /argument 0 holds a NUL/,
  },
  {
    name: "a relative working directory",
    changes: { config: { workingDir: "x" } },
    code: "INVALID_ARGUMENT",
    message: /^working_dir: "x"/,
  },
  {
    name: "a container without a name",
    changes: { config: { metadata: { name: "" } } },
    code: "INVALID_ARGUMENT",
    message: /^metadata\.name/,
  },
]);

/** What no kernel takes, and the longest that it does. */
const commandLines: readonly (readonly [string, readonly string[], RegExp | undefined])[] = [
  ["a program's name as long as a path", [`/${"n".repeat(4094)}`, "a"], undefined],
  ["a longer one", [`/${"n".repeat(4095)}`], /^cmd: argument 0 has 4096 bytes, .*4095$/],
  ["one of 40 kB, which makes runc hang", ["n".repeat(40_000)], /argument 0 has 40000 bytes/],
  ["one of fewer letters than bytes", ["ü".repeat(2048)], /argument 0 has 4096 bytes/],
  ["the longest word", ["sh", "x".repeat(131_071)], undefined],
  ["one that is longer", ["sh", "x".repeat(131_072)], /argument 1 has 131072 bytes, .*131071$/],
  ["a NUL byte", ["sh", "a\0b"], /argument 1 holds a NUL byte/],
  ["an empty word", ["sh", ""], undefined],
];
for (const [what, args, told] of commandLines) {
  test(`a command line with ${what} is ${told ? "refused" : "taken"}`, () => {
    const check = (): void => refuseUnlessRunnable("cmd", args);
    if (told) assert.throws(check, { code: "INVALID_ARGUMENT", message: told });
    else check();
  });
}
