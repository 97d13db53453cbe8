// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../../test/support/scratch.ts";
import { specOf, testRefusals } from "../../../../test/support/spec-input.ts";
import { applyCdiDevices, requestedCdiDevices } from "./cdi-devices.ts";

const gpu = (edits: object, name = "gpu0") =>
  JSON.stringify({
    cdiVersion: "0.6.0",
    kind: "vendor.com/gpu",
    devices: [{ name, containerEdits: edits }],
    containerEdits: { env: ["ALL=1"] },
  });

test("names come from the field, then from annotations, each once", () => {
  const names = requestedCdiDevices({
    CDIDevices: [{ name: "v.com/c=1" }],
    annotations: { "cdi.k8s.io/x": "v.com/c=2,v.com/c=1", other: "v.com/c=3" },
  });
  assert.deepEqual(names, ["v.com/c=1", "v.com/c=2"]);
});

test("a device's edits are applied, and those of its file once", async () => {
  await using place = await scratch();
  await writeFile(
    path.join(place.path, "a.json"),
    JSON.stringify({
      cdiVersion: "0.6.0",
      kind: "vendor.com/gpu",
      devices: ["gpu0", "gpu1"].map((name) => ({
        name,
        containerEdits: {
          env: [`${name}=1`],
          deviceNodes: [{ path: `/dev/${name}`, hostPath: "/dev/null", permissions: "rw", uid: 5 }],
        },
      })),
      containerEdits: {
        mounts: [{ hostPath: "/lib", containerPath: "/v", options: ["ro", "bind"] }],
        hooks: [{ hookName: "createContainer", path: "/bin/hook", args: ["hook"] }],
        additionalGids: [44],
      },
    }),
  );
  const spec = await specOf();
  await applyCdiDevices(spec, ["vendor.com/gpu=gpu0", "vendor.com/gpu=gpu1"], [place.path]);
  assert.deepEqual(spec.process.env.slice(-2), ["gpu0=1", "gpu1=1"]);
  assert.deepEqual(
    spec.linux.devices?.map(({ path: at, type, major, minor, uid }) => [
      at,
      type,
      major,
      minor,
      uid,
    ]),
    [
      ["/dev/gpu0", "c", 1, 3, 5],
      ["/dev/gpu1", "c", 1, 3, 5],
    ],
  );
  assert.deepEqual(spec.linux.resources.devices?.at(-1), {
    allow: true,
    type: "c",
    access: "rw",
    major: 1,
    minor: 3,
  });
  assert.equal(spec.mounts.filter(({ destination }) => destination === "/v").length, 1);
  assert.deepEqual(spec.hooks, { createContainer: [{ path: "/bin/hook", args: ["hook"] }] });
  assert.deepEqual(spec.process.user.additionalGids, [0, 44]);
});

test("of two folders the later wins; two files of one folder conflict; what is not used is named", async () => {
  await using place = await scratch();
  const etc = await place.folder("etc");
  const run = await place.folder("run");
  await writeFile(path.join(etc, "a.json"), gpu({ env: ["FROM=etc"] }));
  await writeFile(path.join(run, "a.json"), gpu({ env: ["FROM=run"] }));
  await writeFile(path.join(etc, "c1.json"), gpu({}, "twice"));
  await writeFile(path.join(etc, "c2.json"), gpu({}, "twice"));
  await writeFile(path.join(etc, "broken.json"), '{"cdiVersion":"0.6.0"}');
  await writeFile(path.join(etc, "x.yml"), "kind: v");
  const spec = await specOf();
  await applyCdiDevices(spec, ["vendor.com/gpu=gpu0"], [etc, run]);
  assert.ok(spec.process.env.includes("FROM=run") && spec.process.env.includes("ALL=1"));
  await assert.rejects(
    applyCdiDevices(spec, ["vendor.com/gpu=twice"], [etc]),
    /twice \(defined by two files\)/,
  );
  await assert.rejects(
    applyCdiDevices(spec, ["vendor.com/gpu=none"], [etc]),
    /cannot resolve vendor\.com\/gpu=none; not used: .*broken\.json .*x\.yml \(its name must end in \.yaml\)/,
  );
});

const yamlFile = `
cdiVersion: 0.7.0
kind: vendor.com/net
annotations: { vendor.com/from: "the vendor's tool" }
devices:
  - name: 0 # a number to YAML, a name to everybody else
    containerEdits:
      env: [ NIC=0 ]
      deviceNodes:
        - { path: /dev/nic0, hostPath: /dev/null, fileMode: 0660, gid: 20 }
      hooks:
  - name: "1"
    containerEdits: &nic1
      env:
        - NIC=1
  - name: both
    containerEdits:
      <<: *nic1
      intelRdt: { closID: fast, enableCMT: true }
containerEdits:
  mounts:
    - hostPath: /usr/share/nic
      containerPath: /nic
      options: [ro, nosuid, nodev, bind]
`;

test("YAML files define devices as JSON files do", async () => {
  await using place = await scratch();
  await writeFile(path.join(place.path, "nic.yaml"), yamlFile);
  await writeFile(path.join(place.path, "gpu.json"), gpu({ env: ["GPU=0"] }));
  const spec = await specOf();
  const names = ["vendor.com/net=0", "vendor.com/net=both", "vendor.com/gpu=gpu0"];
  await applyCdiDevices(spec, names, [place.path]);
  assert.deepEqual(spec.process.env.slice(-3), ["NIC=1", "ALL=1", "GPU=0"]);
  assert.deepEqual(spec.linux.intelRdt, { closID: "fast", enableCMT: true });
  const nic = spec.linux.devices?.find(({ path: at }) => at === "/dev/nic0");
  assert.equal(nic?.fileMode, 0o660);
  assert.equal(nic?.gid, 20);
  assert.deepEqual(spec.mounts.find(({ destination }) => destination === "/nic")?.options, [
    "ro",
    "nosuid",
    "nodev",
    "bind",
  ]);
});

for (const { name, text, reason } of [
  { name: "no YAML", text: "kind: [", reason: /bad\.yaml \(.*line 1/ },
  { name: "no CDI", text: "kind: vendor.com/net\n", reason: /bad\.yaml \(.*cdiVersion/ },
  { name: "empty", text: "", reason: /bad\.yaml \(.*expected object/ },
]) {
  test(`a file that is ${name} is named when a device is missing`, async () => {
    await using place = await scratch();
    await writeFile(path.join(place.path, "bad.yaml"), text);
    const missing = applyCdiDevices(await specOf(), ["vendor.com/net=0"], [place.path]);
    await assert.rejects(missing, reason);
  });
}

testRefusals([
  {
    name: "a CDI device nobody defines",
    changes: { config: { CDIDevices: [{ name: "berth.test/none=0" }] } },
    code: "INVALID_ARGUMENT",
    message: /CDI_devices: cannot resolve berth\.test\/none=0/,
  },
  {
    name: "a CDI name of no known form",
    changes: { config: { annotations: { "cdi.k8s.io/x": "gpu" } } },
    code: "INVALID_ARGUMENT",
    message: /annotations\["cdi\.k8s\.io\/x"\]: "gpu" is no device name/,
  },
]);
