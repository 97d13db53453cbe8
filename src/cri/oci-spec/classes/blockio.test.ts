// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../../test/support/scratch.ts";
import { containerInput, testRefusals, testServices } from "../../../../test/support/spec-input.ts";
import { defaultConfig } from "../../../config/defaults.ts";
import { buildContainerSpec } from "../build-container-spec.ts";
import type { DiskNumber } from "./block-devices.ts";
import { blockIo, createBlockioClasses } from "./blockio.ts";
import { parseBlockioConfig } from "./blockio-config.ts";

const annotation = "io.kubernetes.cri.blockio-class";
const asking = (name: string) => ({
  container: "app",
  containerAnnotations: { [annotation]: name },
  podAnnotations: {},
});
const strict = { ignoreNotEnabled: false };
const disks: Readonly<Record<string, DiskNumber[]>> = {
  "/dev/ssd*": [
    { major: 8, minor: 0 },
    { major: 8, minor: 16 },
  ],
  "/dev/ssd1": [{ major: 8, minor: 16 }],
  "/dev/none": [],
};
const find = async (globs: readonly string[]): Promise<DiskNumber[]> =>
  globs.flatMap((glob) => disks[glob] ?? []);

const text = `
Classes:
  slow:
    - Weight: 80
    - Devices: ["/dev/ssd*"]
      Weight: 50
      ThrottleReadBps: 50M
      ThrottleWriteIOPS: 1k
    - Devices: [/dev/ssd1]
      throttleReadBps: "9007199254740993"
      throttlewritebps: 10Mi
      ThrottleReadIOPS: 7
    - Devices: [/dev/none]
      Weight: 10
  plain:
  empty: []
`;
const classes = { read: async () => parseBlockioConfig(text) };

test("a block I/O class becomes weights and throttles of the disks its globs match", async () => {
  assert.deepEqual(await blockIo(asking("slow"), classes, strict, find), {
    weight: 80,
    weightDevice: [
      { major: 8, minor: 0, weight: 50 },
      { major: 8, minor: 16, weight: 50 },
    ],
    throttleReadBpsDevice: [
      { major: 8, minor: 0, rate: 50_000_000 },
      { major: 8, minor: 16, rate: 9007199254740993n },
    ],
    throttleWriteBpsDevice: [{ major: 8, minor: 16, rate: 10_485_760 }],
    throttleReadIOPSDevice: [{ major: 8, minor: 16, rate: 7 }],
    throttleWriteIOPSDevice: [
      { major: 8, minor: 0, rate: 1000 },
      { major: 8, minor: 16, rate: 1000 },
    ],
  });
});

test("a block I/O class may say nothing", async () => {
  for (const name of ["plain", "empty"]) {
    assert.deepEqual(await blockIo(asking(name), classes, strict, find), {});
  }
  assert.equal(await blockIo(asking(""), classes, strict, find), undefined);
});

test("a block I/O class that the file lacks is refused, and what it has told", async () => {
  await assert.rejects(blockIo(asking("lead"), classes, { ignoreNotEnabled: true }, find), {
    code: "INVALID_ARGUMENT",
    message: /no block I\/O class "lead" in blockio_config_file: it defines slow, plain, empty/,
  });
  const none = { read: async () => new Map() };
  await assert.rejects(blockIo(asking("lead"), none, strict, find), /it defines none/);
});

test("the file of classes is read each time it is asked for", async () => {
  await using place = await scratch();
  const file = path.join(place.path, "classes.yaml");
  const fromFile = createBlockioClasses(file);
  await assert.rejects(fromFile.read(), {
    code: "FAILED_PRECONDITION",
    message: /cannot use blockio_config_file ".*classes\.yaml": ENOENT/,
  });
  await writeFile(file, "Classes: { a: [] }");
  assert.deepEqual([...((await fromFile.read()) ?? [])], [["a", []]]);
  await writeFile(file, "Classes: { b: [] }");
  assert.deepEqual([...((await fromFile.read()) ?? [])], [["b", []]]);
  assert.equal(await createBlockioClasses("").read(), undefined);
});

for (const { name, file, message } of [
  { name: "no YAML", file: "Classes: [", message: /line 1/ },
  { name: "nothing", file: "", message: /expected object/ },
  { name: "no classes", file: "{}", message: /classes/ },
  {
    name: "an unknown key",
    file: "Classes: { a: [{ Wait: 10 }] }",
    message: /wait.*classes\.a\[0\]/,
  },
  {
    name: "a weight below 10",
    file: "Classes: { a: [{ Weight: 9 }] }",
    message: /from 10 to 1000, got "9"/,
  },
  {
    name: "a weight over 1000",
    file: "Classes: { a: [{ Weight: 1001 }] }",
    message: /from 10 to 1000/,
  },
  {
    name: "a bad rate",
    file: "Classes: { a: [{ Devices: [/dev/x], ThrottleReadBps: fast }] }",
    message: /a rate such as 50M or 10Mi, got "fast"/,
  },
  {
    name: "a number that YAML cannot hold",
    file: "Classes: { a: [{ Devices: [/dev/x], ThrottleReadBps: 9007199254740993 }] }",
    message: /put one beyond 2\^53 in quotes.*throttlereadbps/,
  },
  {
    name: "a throttle for no disk",
    file: "Classes: { a: [{ ThrottleReadBps: 1M }] }",
    message: /a throttle needs Devices/,
  },
  {
    name: "a relative device",
    file: "Classes: { a: [{ Devices: [sda], Weight: 10 }] }",
    message: /devices\[0\]/,
  },
]) {
  test(`a file of block I/O classes is refused for ${name}`, () => {
    assert.throws(
      () => parseBlockioConfig(file),
      (error: Error) => {
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      },
    );
  });
}

test("the class stands in the spec's resources", async () => {
  const input = containerInput({
    config: { annotations: { [annotation]: "w" }, linux: { resources: { cpuShares: 5n } } },
  });
  const blockio = { read: async () => parseBlockioConfig("Classes: { w: [{ Weight: 20 }] }") };
  const { spec } = await buildContainerSpec(input, { ...testServices, blockio });
  assert.deepEqual(spec.linux.resources.blockIO, { weight: 20 });
  assert.equal(spec.linux.resources.cpu?.shares, 5);
  const cri = { ...defaultConfig.cri, ignoreBlockioNotEnabledErrors: true };
  const without = await buildContainerSpec({ ...input, cri }, testServices);
  assert.equal(without.spec.linux.resources.blockIO, undefined);
});

testRefusals([
  {
    name: "a block I/O class without a file of them",
    changes: { config: { annotations: { [annotation]: "slow" } } },
    code: "FAILED_PRECONDITION",
    message: /block I\/O class "slow" cannot be given: no blockio_config_file is configured/,
  },
]);
