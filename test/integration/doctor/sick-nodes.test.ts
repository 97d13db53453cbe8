// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { ofKernel } from "../../support/doctor/kernel-sicknesses.ts";
import { type MadeNode, makeNode } from "../../support/doctor/made-node.ts";
import { ofNames } from "../../support/doctor/name-sicknesses.ts";
import { ofPrograms } from "../../support/doctor/program-sicknesses.ts";
import { ofServices } from "../../support/doctor/service-sicknesses.ts";
import { ofSettings } from "../../support/doctor/setting-sicknesses.ts";
import { kubeletConf } from "../../support/doctor/sickness.ts";

const withCluster = ({ root }: MadeNode): string[] => ["--kubeconfig", `${root}${kubeletConf}`];
const sicknesses = [...ofKernel, ...ofNames, ...ofPrograms, ...ofServices, ...ofSettings];

for (const { name, check, make, level, says, mends, advises = /./, leadsTo = /./ } of sicknesses) {
  test(`the doctor names ${name}${mends === true ? ", and what it prints mends it" : ""}`, async () => {
    await using node = await makeNode();
    const matching = async () => {
      const { findings, status } = await node.examine("--only", check, ...withCluster(node));
      return { found: findings.filter(({ what }) => says.test(what)), findings, status };
    };
    assert.deepEqual((await matching()).found, [], "found on a healthy node");
    await make(node);
    const { found, findings, status } = await matching();
    assert.equal(found.length, 1, JSON.stringify(findings, null, 2));
    assert.equal(found[0]?.level, level);
    assert.match(found[0]?.why ?? "", leadsTo);
    assert.match(found[0]?.mend ?? "", advises);
    if (level === "error") assert.equal(status, 1);
    if (mends !== true) return;
    await node.mend(found[0]?.mend ?? "");
    assert.deepEqual((await matching()).found, [], `not mended by: ${found[0]?.mend}`);
  });
}

test("on a healthy node the doctor finds only that no daemon runs", async () => {
  await using node = await makeNode();
  const { findings } = await node.examine();
  const bad = findings.filter(({ level, check }) => level !== "ok" && check !== "disk");
  assert.deepEqual(
    bad.map(({ check }) => check),
    ["daemon"],
    JSON.stringify(bad, null, 2),
  );
});

test("of a configuration that cannot be read the doctor makes nothing up", async () => {
  await using node = await makeNode();
  const { findings, status } = await node.examine("--config", "/etc/berthd/gone.toml");
  assert.equal(status, 1);
  const bad = findings.filter(({ level }) => level !== "ok");
  const cannot = /cannot read configuration file \/etc\/berthd\/gone\.toml: ENOENT/;
  for (const { what } of bad) assert.match(what, cannot);
  const [first, ...others] = bad;
  assert.deepEqual([first?.check, first?.level], ["config", "error"]);
  for (const { what, level } of others) {
    assert.match(what, /^not looked at /);
    assert.equal(level, "warning");
  }
  assert.ok(others.some(({ check }) => check === "sockets"));
  const ok = findings.filter(({ level }) => level === "ok").map(({ check }) => check);
  assert.ok(ok.includes("kernel"), "what needs no configuration is looked at");
});

test("with everything wrong at once the doctor names all of it", async () => {
  await using node = await makeNode();
  // Those that do not undo each other.
  const first = sicknesses.filter(
    ({ check }, at) =>
      !["clock", "certificates"].includes(check) &&
      sicknesses.findIndex((other) => other.check === check) === at,
  );
  const settings = sicknesses.filter(
    ({ name, check }) => check === "sysctls" && !/kubelet/.test(name),
  );
  const made = [...new Set([...first, ...settings])];
  for (const { make } of made) await make(node);
  const { findings, status } = await node.examine(...withCluster(node));
  assert.equal(status, 1);
  for (const { says, check } of made) {
    const told = findings.filter((one) => one.check === check);
    assert.ok(
      told.some(({ what }) => says.test(what)),
      `${says}: ${JSON.stringify(told)}`,
    );
  }
});
