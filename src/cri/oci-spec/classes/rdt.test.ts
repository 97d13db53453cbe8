// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../../test/support/scratch.ts";
import { containerInput, testRefusals, testServices } from "../../../../test/support/spec-input.ts";
import { defaultConfig } from "../../../config/defaults.ts";
import { buildContainerSpec } from "../build-container-spec.ts";
import { createRdtGroups, rdtGroup } from "./rdt.ts";

const annotation = "rdt.resources.beta.kubernetes.io/pod";
const asking = (name: string) => ({
  container: "app",
  containerAnnotations: {},
  podAnnotations: { [annotation]: name },
});
const groups = { list: async () => ["gold", "silver"] };
const strict = { ignoreNotEnabled: false };

test("RDT groups are the folders of a mounted resctrl", async () => {
  await using place = await scratch();
  assert.equal(await createRdtGroups(path.join(place.path, "none")).list(), undefined);
  assert.equal(await createRdtGroups(place.path).list(), undefined);
  for (const name of ["info", "mon_groups", "mon_data", "gold"])
    await mkdir(path.join(place.path, name));
  for (const name of ["schemata", "cpus", "tasks"])
    await writeFile(path.join(place.path, name), "");
  assert.deepEqual(await createRdtGroups(place.path).list(), ["gold"]);
});

test("an RDT class is the group of that name", async () => {
  assert.equal(await rdtGroup(asking("gold"), groups, strict), "gold");
  assert.equal(
    await rdtGroup({ ...asking("gold"), podAnnotations: {} }, groups, strict),
    undefined,
  );
});

test("an RDT class that is not there is refused, and what is there told", async () => {
  for (const name of ["lead", "../gold", "info"]) {
    await assert.rejects(rdtGroup(asking(name), groups, { ignoreNotEnabled: true }), {
      code: "INVALID_ARGUMENT",
      message: new RegExp(`no RDT class "${name}" in /sys/fs/resctrl: there are gold, silver`),
    });
  }
  await assert.rejects(
    rdtGroup(asking("gold"), { list: async () => [] }, strict),
    /there are none/,
  );
});

test("an RDT class without RDT is left out where the configuration lets it", async () => {
  const none = { list: async () => undefined };
  assert.equal(await rdtGroup(asking("gold"), none, { ignoreNotEnabled: true }), undefined);
});

test("the group stands in the spec as its closID", async () => {
  const input = containerInput({ pod: { annotations: { [annotation]: "gold" } } });
  const { spec } = await buildContainerSpec(input, { ...testServices, rdt: groups });
  assert.deepEqual(spec.linux.intelRdt, { closID: "gold" });
  const cri = { ...defaultConfig.cri, ignoreRdtNotEnabledErrors: true };
  const without = await buildContainerSpec({ ...input, cri }, testServices);
  assert.equal(without.spec.linux.intelRdt, undefined);
});

testRefusals([
  {
    name: "an RDT class without RDT",
    changes: { pod: { annotations: { [annotation]: "gold" } } },
    code: "FAILED_PRECONDITION",
    message: /RDT class "gold" cannot be given: this host has no RDT/,
  },
]);
