// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { lstatSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../../test/support/scratch.ts";
import { allFeatures, specOf, testRefusals } from "../../../../test/support/spec-input.ts";
import { run } from "../../../base/process.ts";
import type { OciSpec } from "../../../oci/spec.ts";
import { noRuntimeFeatures } from "../runtime-features.ts";
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
      cdiVersion: "0.7.0",
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
  await applyCdiDevices(spec, ["vendor.com/gpu=gpu0", "vendor.com/gpu=gpu1"], allFeatures, [
    place.path,
  ]);
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
  await writeFile(path.join(etc, "c1.json"), gpu({ env: ["A=1"] }, "twice"));
  await writeFile(path.join(etc, "c2.json"), gpu({ env: ["A=1"] }, "twice"));
  await writeFile(path.join(run, "a-later.json"), gpu({ env: ["A=1"] }, "twice"));
  await writeFile(path.join(etc, "broken.json"), '{"cdiVersion":"0.6.0"}');
  await writeFile(path.join(etc, "x.yml"), "kind: v");
  const spec = await specOf();
  await applyCdiDevices(spec, ["vendor.com/gpu=gpu0"], allFeatures, [etc, run]);
  assert.ok(spec.process.env.includes("FROM=run") && spec.process.env.includes("ALL=1"));
  await assert.rejects(
    applyCdiDevices(spec, ["vendor.com/gpu=twice"], allFeatures, [etc, run]),
    /twice \(defined by two files, .+\/etc\/c1\.json and .+\/etc\/c2\.json\)/,
  );
  await assert.rejects(
    applyCdiDevices(spec, ["vendor.com/gpu=none"], allFeatures, [etc]),
    /cannot resolve vendor\.com\/gpu=none; not used: .*broken\.json .*x\.yml \(its name must end in \.yaml\)/,
  );
});

const yamlFile = `
cdiVersion: 1.1.0
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
      intelRdt: { closID: fast, enableMonitoring: true }
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
  await applyCdiDevices(spec, names, allFeatures, [place.path]);
  assert.deepEqual(spec.process.env.slice(-3), ["NIC=1", "ALL=1", "GPU=0"]);
  assert.deepEqual(spec.linux.intelRdt, { closID: "fast", enableMonitoring: true });
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
  { name: "too large", text: "#".repeat(5 * 1024 * 1024), reason: /bad\.yaml \(it is larger/ },
  { name: "empty", text: "", reason: /bad\.yaml \(.*expected object/ },
]) {
  test(`a file that is ${name} is named when a device is missing`, async () => {
    await using place = await scratch();
    await writeFile(path.join(place.path, "bad.yaml"), text);
    const missing = applyCdiDevices(await specOf(), ["vendor.com/net=0"], allFeatures, [
      place.path,
    ]);
    await assert.rejects(missing, reason);
  });
}

/** A file of two devices, the second with these edits. */
function fileOf(edits: object, more: object = {}): string {
  return JSON.stringify({
    cdiVersion: "1.1.0",
    kind: "vendor.com/dev",
    devices: [
      { name: "good", containerEdits: { env: ["GOOD=1"] } },
      { name: "it", containerEdits: edits },
    ],
    ...more,
  });
}

function asWritten(text: string): RegExp {
  return new RegExp(text.replaceAll(/[.()]/g, "\\$&"));
}

async function apply(text: string, features = allFeatures, changes = {}): Promise<OciSpec> {
  await using place = await scratch();
  await writeFile(path.join(place.path, "it.json"), text);
  const spec = await specOf(changes);
  await applyCdiDevices(spec, ["vendor.com/dev=it"], features, [place.path]);
  return spec;
}

test("every field of the newest version reaches the spec", async () => {
  const spec = await apply(
    fileOf(
      {
        env: ["PATH=/vendor", "B=x=y"],
        deviceNodes: [
          { path: "/dev/a", type: "c", major: 7, minor: 8, fileMode: 0o640, uid: 1, gid: 2 },
          { path: "/dev/b", type: "b", major: 9, permissions: "none" },
          { path: "/dev/c", hostPath: "/dev/null", permissions: "r" },
          { path: "/dev/p", type: "p" },
        ],
        netDevices: [{ hostInterfaceName: "enp1", name: "net0" }],
        hooks: [
          { hookName: "prestart", path: "/h", args: ["h", "1"], env: ["E=1"], timeout: 5 },
          { hookName: "poststop", path: "/g" },
        ],
        mounts: [
          { hostPath: "/lib", containerPath: "/v/deep/er", options: ["ro", "bind"] },
          { hostPath: "none", containerPath: "/v", type: "tmpfs", options: ["size=1m"] },
          { hostPath: "none", containerPath: "/w", type: "tmpfs" },
          { hostPath: "/lib", containerPath: "/x" },
        ],
        intelRdt: {
          closID: "fast",
          l3CacheSchema: "L3:0=f",
          memBwSchema: "MB:0=50",
          schemata: ["L2:0=3"],
          enableMonitoring: true,
        },
        additionalGids: [0, 44, 44],
      },
      { annotations: { "vendor.com/by": "a tool" } },
    ),
  );
  assert.equal(spec.process.env[0], "PATH=/vendor");
  assert.equal(spec.process.env.at(-1), "B=x=y");
  const nullMode = lstatSync("/dev/null").mode & 0o7777; // a host may have another than 0666
  assert.deepEqual(spec.linux.devices?.slice(-4), [
    { path: "/dev/a", type: "c", major: 7, minor: 8, fileMode: 0o640, uid: 1, gid: 2 },
    { path: "/dev/b", type: "b", major: 9, minor: 0 },
    { path: "/dev/c", type: "c", major: 1, minor: 3, fileMode: nullMode },
    { path: "/dev/p", type: "p" },
  ]);
  assert.deepEqual(spec.linux.resources.devices?.slice(-3), [
    { allow: true, type: "c", major: 7, minor: 8, access: "rwm" },
    { allow: true, type: "b", major: 9, minor: 0, access: "" },
    { allow: true, type: "c", major: 1, minor: 3, access: "r" },
  ]);
  assert.deepEqual(spec.linux.netDevices, { enp1: { name: "net0" } });
  assert.deepEqual(spec.hooks, {
    prestart: [{ path: "/h", args: ["h", "1"], env: ["E=1"], timeout: 5 }],
    poststop: [{ path: "/g" }],
  });
  const at = (place: string) => spec.mounts.findIndex(({ destination }) => destination === place);
  assert.ok(at("/v") < at("/v/deep/er"), "what lies deeper is mounted later");
  assert.deepEqual(spec.mounts[at("/v")], {
    destination: "/v",
    source: "none",
    type: "tmpfs",
    options: ["size=1m"],
  });
  assert.deepEqual(spec.mounts[at("/w")], { destination: "/w", source: "none", type: "tmpfs" });
  assert.deepEqual(spec.mounts[at("/x")]?.options, ["rbind", "rprivate"]);
  assert.deepEqual(spec.linux.intelRdt, {
    closID: "fast",
    l3CacheSchema: "L3:0=f",
    memBwSchema: "MB:0=50",
    schemata: ["L2:0=3"],
    enableMonitoring: true,
  });
  assert.deepEqual(spec.process.user.additionalGids, [0, 44]);
  assert.equal(spec.annotations["vendor.com/by"], undefined);
});

test("a device belongs to the container's user where the file says nothing", async () => {
  const runAsUser = { runAsUser: { value: 1000n }, runAsGroup: { value: 2000n } };
  const spec = await apply(fileOf({ deviceNodes: [{ path: "/dev/null" }] }), allFeatures, {
    config: { linux: { securityContext: runAsUser } },
  });
  const device = spec.linux.devices?.find(({ path: at }) => at === "/dev/null");
  assert.deepEqual([device?.uid, device?.gid], [1000, 2000]);
});

for (const { what, text, reason } of [
  {
    what: "an unknown field",
    text: fileOf({ env: ["A=1"], wishes: [] }),
    reason: /it\.json \(device "it": .*wishes.*devices\[1\]\.containerEdits/,
  },
  {
    what: "a field of a device node that is misspelt",
    text: fileOf({ deviceNodes: [{ path: "/dev/null", hostpath: "/x" }] }),
    reason: /hostpath.*deviceNodes\[0\]/,
  },
  { what: "a field on top", text: fileOf({ env: ["A=1"] }, { extra: 1 }), reason: /extra/ },
  {
    what: "RDT fields that were dropped",
    text: fileOf({ intelRdt: { enableCMT: true } }),
    reason: /enableCMT/,
  },
  {
    what: "a version that is none",
    text: fileOf({ env: ["A=1"] }, { cdiVersion: "1.2.0" }),
    reason: /cdiVersion "1\.2\.0" is not known, of 0\.1\.0, .* 1\.1\.0/,
  },
  {
    what: "a patch of a version",
    text: fileOf({ env: ["A=1"] }, { cdiVersion: "1.1.1" }),
    reason: /it\.json \(cdiVersion "1\.1\.1" is not known/,
  },
  {
    what: "a key that stands there twice",
    text: fileOf({ env: ["A=1"] }).replace("{", '{\n"kind": "vendor.com/other",\n'),
    reason: /it\.json \(key "kind" stands there twice, again at line 3\)/,
  },
  {
    what: "no version",
    text: fileOf({ env: ["A=1"] }, { cdiVersion: null }),
    reason: /cdiVersion/,
  },
  ...(
    [
      ["0.2.0", "0.3.0", "what every file holds", { env: ["A=1"] }],
      [
        "0.3.0",
        "0.4.0",
        'mounts.type of device "it"',
        { mounts: [{ hostPath: "/a", containerPath: "/b", type: "bind" }] },
      ],
      [
        "0.4.0",
        "0.5.0",
        'deviceNodes.hostPath of device "it"',
        { deviceNodes: [{ path: "/dev/x", hostPath: "/dev/null" }] },
      ],
      ["0.6.0", "0.7.0", 'additionalGids of device "it"', { additionalGids: [5] }],
      ["0.6.0", "0.7.0", 'intelRdt of device "it"', { intelRdt: {} }],
      ["v1.0.0", "1.1.0", 'intelRdt.schemata of device "it"', { intelRdt: { schemata: [] } }],
      [
        "0.8.0",
        "1.1.0",
        'intelRdt.enableMonitoring of device "it"',
        { intelRdt: { enableMonitoring: true } },
      ],
      [
        "1.0.0",
        "1.1.0",
        'netDevices of device "it"',
        { netDevices: [{ hostInterfaceName: "a", name: "b" }] },
      ],
    ] as const
  ).map(([cdiVersion, needed, used, edits]) => ({
    what: `${used} in a file of version ${cdiVersion}`,
    text: fileOf(edits, { cdiVersion }),
    reason: asWritten(`(cdiVersion must be at least ${needed}, not ${cdiVersion}, for ${used})`),
  })),
  ...(
    [
      [
        "0.4.0",
        "0.5.0",
        'a name that begins with a digit of device "0"',
        { devices: [{ name: "0", containerEdits: { env: ["A=1"] } }] },
      ],
      ["0.5.0", "0.6.0", "a class with a dot", { kind: "vendor.com/a.b" }],
      [
        "0.5.0",
        "0.6.0",
        'annotations of device "x"',
        { devices: [{ name: "x", annotations: { a: "b" }, containerEdits: { env: ["A=1"] } }] },
      ],
      ["0.6.0", "0.7.0", "additionalGids", { containerEdits: { additionalGids: [5] } }],
    ] as const
  ).map(([cdiVersion, needed, used, more]) => ({
    what: `${used} in a file of version ${cdiVersion}`,
    text: fileOf({ env: ["A=1"] }, { cdiVersion, ...more }),
    reason: asWritten(`(cdiVersion must be at least ${needed}, not ${cdiVersion}, for ${used})`),
  })),
  {
    what: "annotations too early",
    text: fileOf({ env: ["A=1"] }, { cdiVersion: "0.5.0", annotations: { a: "b" } }),
    reason: /at least 0\.6\.0, not 0\.5\.0, for annotations\)/,
  },
  { what: "a device without edits", text: fileOf({}), reason: /device "it" has no edits/ },
  {
    what: "a device that stands there twice",
    text: fileOf(
      { env: ["A=1"] },
      { devices: ["it", "it"].map((name) => ({ name, containerEdits: { env: ["A=1"] } })) },
    ),
    reason: /device "it" stands there twice/,
  },
  { what: "a variable without a name", text: fileOf({ env: ["=1"] }), reason: /NAME=value/ },
  {
    what: "a type of no device",
    text: fileOf({ deviceNodes: [{ path: "/dev/null", type: "x" }] }),
    reason: /type/,
  },
  {
    what: "a negative number",
    text: fileOf({ deviceNodes: [{ path: "/dev/null", major: -1 }] }),
    reason: /major/,
  },
  {
    what: "permissions of no device",
    text: fileOf({ deviceNodes: [{ path: "/dev/null", permissions: "rx" }] }),
    reason: /permissions/,
  },
  {
    what: "a hook that is none",
    text: fileOf({ hooks: [{ hookName: "later", path: "/h" }] }),
    reason: /hookName/,
  },
  {
    what: "a class of RDT that is a path",
    text: fileOf({ intelRdt: { closID: "../x" } }),
    reason: /closID|name of a class/,
  },
  {
    what: "a class of RDT with a name longer than a path may be, in bytes",
    text: fileOf({ intelRdt: { closID: "é".repeat(2048) } }),
    reason: /device "it": .*is no name of a class/,
  },
  {
    what: "a device node of another type",
    text: fileOf({ deviceNodes: [{ path: "/dev/null", type: "b" }] }),
    reason: /vendor\.com\/dev=it \([^)]+\/it\.json\): deviceNodes: \/dev\/null is of type c, not b/,
  },
  {
    what: "a device node that is not there",
    text: fileOf({ deviceNodes: [{ path: "/dev/berth-none" }] }),
    reason: /vendor\.com\/dev=it \([^)]+\/it\.json\): deviceNodes: \/dev\/berth-none: ENOENT/,
  },
  {
    what: "one interface twice",
    text: fileOf({
      netDevices: [
        { hostInterfaceName: "a", name: "b" },
        { hostInterfaceName: "a", name: "c" },
      ],
    }),
    reason:
      /vendor\.com\/dev=it \([^)]+\/it\.json\): two netDevices with the hostInterfaceName "a"/,
  },
] as const) {
  test(`refused with its reason: ${what}`, async () => {
    await assert.rejects(apply(text), reason);
  });
}

for (const [edits, reason] of [
  [
    { netDevices: [{ hostInterfaceName: "enp1", name: "n" }] },
    /dev=it \([^)]+\/it\.json\): .* cannot move netDevices \(enp1\)/,
  ],
  [
    { intelRdt: { schemata: ["L3:0=f"] } },
    /dev=it \([^)]+\/it\.json\): .* knows no intelRdt\.schemata/,
  ],
  [{ intelRdt: { enableMonitoring: true } }, /knows no intelRdt\.enableMonitoring/],
] as const) {
  test(`a runtime that would leave it out is not asked: ${Object.keys(edits)[0]}`, async () => {
    await assert.rejects(apply(fileOf(edits), noRuntimeFeatures), {
      code: "FAILED_PRECONDITION",
      message: reason,
    });
  });
}

test("of two devices with the same interface both are named", async () => {
  await using place = await scratch();
  const nic = { netDevices: [{ hostInterfaceName: "enp1", name: "n" }] };
  await writeFile(path.join(place.path, "a.json"), fileOf(nic));
  await writeFile(path.join(place.path, "b.json"), fileOf(nic, { kind: "vendor.com/other" }));
  const names = ["vendor.com/dev=it", "vendor.com/other=it"];
  await assert.rejects(applyCdiDevices(await specOf(), names, allFeatures, [place.path]), {
    code: "INVALID_ARGUMENT",
    message:
      /dev=it \([^)]+a\.json\) and vendor\.com\/other=it \([^)]+b\.json\): two netDevices with the host/,
  });
});

test("with the node's network no interface can be moved", async () => {
  await using place = await scratch();
  const edits = { netDevices: [{ hostInterfaceName: "enp1", name: "n" }] };
  await writeFile(path.join(place.path, "it.json"), fileOf(edits));
  const spec = await specOf();
  spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "network");
  await assert.rejects(
    applyCdiDevices(spec, ["vendor.com/dev=it"], allFeatures, [place.path]),
    /dev=it \([^)]+it\.json\): with the node's network .* netDevices to \(enp1\)/,
  );
});

test("with a user namespace mounts show their owners to the container's root", async () => {
  await using place = await scratch();
  const mounts = (
    [
      ["/one", ["ro", "bind"]],
      ["/two", ["rbind"]],
      ["/three", ["bind", "idmap"]],
      ["/four", undefined],
    ] as const
  ).map(([containerPath, options]) => ({ hostPath: "/lib", containerPath, options }));
  await writeFile(path.join(place.path, "it.json"), fileOf({ mounts }));
  const spec = await specOf();
  spec.linux.uidMappings = [{ containerID: 0, hostID: 65536, size: 65536 }];
  spec.linux.gidMappings = [{ containerID: 0, hostID: 65536, size: 65536 }];
  spec.linux.namespaces.push({ type: "user" });
  await applyCdiDevices(spec, ["vendor.com/dev=it"], allFeatures, [place.path]);
  assert.deepEqual(
    mounts.map(({ containerPath }) =>
      spec.mounts.find(({ destination }) => destination === containerPath)?.options?.at(-1),
    ),
    ["idmap", "ridmap", "idmap", "ridmap"],
  );
});

test("what is no file, or nobody writes, costs only itself", async () => {
  await using place = await scratch();
  await run("mkfifo", [path.join(place.path, "fifo.json")]);
  await place.folder("folder.json");
  await writeFile(path.join(place.path, "it.json"), fileOf({ env: ["A=1"] }));
  const names = ["vendor.com/dev=it"];
  const spec = await specOf();
  await applyCdiDevices(spec, names, allFeatures, [place.path, "/dev/null"]);
  assert.ok(spec.process.env.includes("A=1"));
  await assert.rejects(
    applyCdiDevices(spec, ["vendor.com/dev=none"], allFeatures, [place.path]),
    /fifo\.json \(it is no regular file\), .*folder\.json \(it is no regular file\)/,
  );
});

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
