// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { isFault } from "../../base/errors.ts";
import {
  askRuntimeFeatures,
  parseRuntimeFeatures,
  readRuntimeFeatures,
} from "./runtime-features.ts";

const rows = [
  {
    name: "runc 1.1",
    json: { mountOptions: ["rro", "ro"], linux: { namespaces: ["user"] } },
    kernel: "6.1.0",
    out: [true, false, false],
  },
  {
    name: "an old kernel",
    json: { mountOptions: ["rro"] },
    kernel: "5.10.0-20",
    out: [false, false, false],
  },
  {
    name: "runc 1.2",
    json: {
      mountOptions: ["rro"],
      linux: { namespaces: ["user"], mountExtensions: { idmap: { enabled: true } } },
    },
    kernel: "5.12",
    out: [true, true, true],
  },
  {
    name: "runc 1.2 on an old kernel",
    json: {
      mountOptions: ["rro"],
      linux: { namespaces: ["user"], mountExtensions: { idmap: { enabled: true } } },
    },
    kernel: "5.10.0-20",
    out: [false, false, false],
  },
  { name: "nothing", json: {}, kernel: "6.1", out: [false, false, false] },
];

for (const { name, json, kernel, out } of rows) {
  test(`runtime features of ${name}`, () => {
    const found = parseRuntimeFeatures(JSON.stringify(json), kernel);
    assert.deepEqual([found.recursiveReadOnlyMounts, found.idmapMounts, found.userNamespaces], out);
  });
}

const optionRows = [
  {
    name: "told",
    json: { mountOptions: ["rro", "noexec", "rnoexec", "nosuid", "exec", 5] },
    kernel: "6.1",
    out: ["noexec", "rnoexec", "nosuid"],
  },
  {
    name: "on an old kernel",
    json: { mountOptions: ["noexec", "rnoexec"] },
    kernel: "5.10.0-20",
    out: ["noexec"],
  },
  { name: "none told", json: { mountOptions: [] }, kernel: "6.1", out: [] },
  { name: "not told", json: {}, kernel: "6.1", out: ["noexec", "nodev", "nosuid"] },
];

for (const { name, json, kernel, out } of optionRows) {
  test(`mount options of a runtime: ${name}`, () => {
    assert.deepEqual(parseRuntimeFeatures(JSON.stringify(json), kernel).mountOptions, out);
  });
}

test("a runtime that cannot tell has no features but what each has", async () => {
  const { signal } = new AbortController();
  for (const binary of ["/nonexistent/runc", "false", "echo"]) {
    const found = await readRuntimeFeatures(binary, "6.1", { signal });
    assert.equal(found.recursiveReadOnlyMounts, false, binary);
    assert.deepEqual(found.mountOptions, ["noexec", "nodev", "nosuid"], binary);
  }
});

test("of a runtime that is not there, or was killed, nothing is known", async () => {
  await using home = await scratch({ prefix: "features" });
  const killed = path.join(home.path, "runc");
  await writeFile(killed, "#!/bin/sh\nkill -9 $$\n", { mode: 0o755 });
  const { signal } = new AbortController();
  for (const [binary, code] of [
    ["/nonexistent/runc", "NOT_FOUND"],
    [killed, "UNKNOWN"],
  ] as const) {
    const asked = askRuntimeFeatures(binary, "6.1", { signal });
    await assert.rejects(asked, (error) => isFault(error, code));
  }
  assert.equal((await askRuntimeFeatures("false", "6.1", { signal })).idmapMounts, false);
});

test("what came with later runtime specs is known where it is told", () => {
  const later = { netDevices: { enabled: true }, intelRdt: { schemata: true, monitoring: true } };
  const of = (linux: object) => parseRuntimeFeatures(JSON.stringify({ linux }), "6.1.0");
  const told = ({ netDevices, rdtSchemata, rdtMonitoring }: ReturnType<typeof of>) => [
    netDevices,
    rdtSchemata,
    rdtMonitoring,
  ];
  assert.deepEqual(told(of(later)), [true, true, true]);
  assert.deepEqual(told(of({ intelRdt: { enabled: true }, netDevices: {} })), [
    false,
    false,
    false,
  ]);
});

test("priorities came with version 1.1 of the spec, and memory policies are told by their modes", () => {
  for (const [told, scheduling, memoryPolicies] of [
    [{}, false, []],
    [{ ociVersionMax: "1.0.2-dev" }, false, []],
    [{ ociVersionMax: "1.1.0", linux: { memoryPolicy: { modes: 5 } } }, true, []],
    [
      { ociVersionMax: "1.3.0", linux: { memoryPolicy: { modes: ["MPOL_BIND"] } } },
      true,
      ["MPOL_BIND"],
    ],
  ] as const) {
    const found = parseRuntimeFeatures(JSON.stringify(told), "6.1.0");
    assert.deepEqual([found.scheduling, found.memoryPolicies], [scheduling, memoryPolicies]);
  }
});

test("a list of features that is none lists nothing", () => {
  const odd =
    '{"mountOptions":5,"linux":{"namespaces":"user","mountExtensions":{"idmap":{"enabled":true}}}}';
  const features = parseRuntimeFeatures(odd, "6.1.0");
  assert.deepEqual(
    [features.recursiveReadOnlyMounts, features.idmapMounts, features.userNamespaces],
    [false, true, false],
  );
});
