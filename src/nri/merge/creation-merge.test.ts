// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { codec } from "../../rpc/codec.ts";
import type { ContainerAdjustmentInit, CreateContainerResponseInit } from "../messages.ts";
import { CreationMerge } from "./creation-merge.ts";

const requests = codec("nri.pkg.api.v1alpha1.CreateContainerRequest");
const answers = codec("nri.pkg.api.v1alpha1.CreateContainerResponse");

/** A container with one of everything. */
function merge(): CreationMerge {
  return new CreationMerge(
    requests.normalize({
      pod: { id: "pod", name: "web" },
      container: {
        id: "new",
        annotations: { given: "1" },
        args: ["sh"],
        env: ["PATH=/bin", "GIVEN=1"],
        mounts: [{ destination: "/given", source: "/a" }],
        rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
        linux: {
          devices: [{ path: "/dev/given", type: "c" }],
          namespaces: [{ type: "pid" }, { type: "network", path: "/netns/x" }],
          sysctl: { "net.given": "1" },
          netDevices: { eth9: { name: "nic" } },
          resources: {
            memory: { limit: { value: 100 } },
            cpu: { shares: { value: 10 }, cpus: "0-3" },
            hugepageLimits: [{ pageSize: "2MB", limit: 1 }],
          },
        },
      },
    }),
  );
}

type Step = readonly [plugin: string, adjust: ContainerAdjustmentInit];

function merged(...steps: readonly Step[]): CreationMerge {
  const all = merge();
  for (const [plugin, adjust] of steps) add(all, plugin, { adjust });
  return all;
}

function add(all: CreationMerge, plugin: string, answer: CreateContainerResponseInit): void {
  all.add(plugin, answers.normalize(answer));
}

const mount = (source: string, destination = "/x") => ({ destination, source, options: ["bind"] });
const device = (path: string, minor = 1) => ({ path, type: "c", major: 1, minor });

test("without an adjustment there is none, and no owner", () => {
  const all = merge();
  add(all, "10-a", {});
  add(all, "20-b", { adjust: { linux: {} } });
  assert.deepEqual(all.result(), { adjust: undefined, updates: [], owners: undefined });
  assert.deepEqual(all.request, merge().request);
});

// What A sets, B cannot set as well.
for (const { field, adjust, again = adjust } of [
  { field: "Annotations k", adjust: { annotations: { k: "1" } } },
  { field: "Mounts /x", adjust: { mounts: [mount("/a")] } },
  { field: "Env K", adjust: { env: [{ key: "K", value: "1" }] } },
  { field: "Args", adjust: { args: ["a"] } },
  { field: "CdiDevices v.com/c=1", adjust: { CDIDevices: [{ name: "v.com/c=1" }] } },
  { field: "Rlimits RLIMIT_CORE", adjust: { rlimits: [{ type: "RLIMIT_CORE" }] } },
  { field: "Devices /dev/x", adjust: { linux: { devices: [device("/dev/x")] } } },
  { field: "Namespace pid", adjust: { linux: { namespaces: [{ type: "pid", path: "/p" }] } } },
  {
    field: "Namespace pid",
    adjust: { linux: { namespaces: [{ type: "-pid" }] } },
    again: { linux: { namespaces: [{ type: "pid" }] } },
  },
  { field: "Sysctl a.b", adjust: { linux: { sysctl: { "a.b": "1" } } } },
  { field: "LinuxNetDevices eth0", adjust: { linux: { netDevices: { eth0: { name: "n" } } } } },
  { field: "CgroupsPath", adjust: { linux: { cgroupsPath: "/x" } } },
  { field: "OomScoreAdj", adjust: { linux: { oomScoreAdj: { value: 0 } } } },
  { field: "IoPriority", adjust: { linux: { ioPriority: { class: "IOPRIO_CLASS_BE" } } } },
  { field: "LinuxSched", adjust: { linux: { scheduler: { policy: "SCHED_BATCH" } } } },
  {
    field: "SeccompPolicy",
    adjust: { linux: { seccompPolicy: { defaultAction: "SCMP_ACT_LOG" } } },
  },
  { field: "MemoryPolicy", adjust: { linux: { memoryPolicy: { mode: "MPOL_BIND", nodes: "0" } } } },
  { field: "RdtClosID", adjust: { linux: { rdt: { closId: { value: "a" } } } } },
  { field: "RdtSchemata", adjust: { linux: { rdt: { schemata: { value: ["L3:0=f"] } } } } },
  {
    field: "RdtEnableMonitoring",
    adjust: { linux: { rdt: { enableMonitoring: { value: false } } } },
  },
  { field: "MemLimit", adjust: { linux: { resources: { memory: { limit: { value: 0 } } } } } },
  {
    field: "MemReservation",
    adjust: { linux: { resources: { memory: { reservation: { value: 1 } } } } },
  },
  { field: "MemSwapLimit", adjust: { linux: { resources: { memory: { swap: { value: 1 } } } } } },
  {
    field: "MemKernelLimit",
    adjust: { linux: { resources: { memory: { kernel: { value: 1 } } } } },
  },
  {
    field: "MemTCPLimit",
    adjust: { linux: { resources: { memory: { kernelTcp: { value: 1 } } } } },
  },
  {
    field: "MemSwappiness",
    adjust: { linux: { resources: { memory: { swappiness: { value: 1 } } } } },
  },
  {
    field: "MemDisableOomKiller",
    adjust: { linux: { resources: { memory: { disableOomKiller: { value: true } } } } },
  },
  {
    field: "MemUseHierarchy",
    adjust: { linux: { resources: { memory: { useHierarchy: { value: true } } } } },
  },
  { field: "CPUShares", adjust: { linux: { resources: { cpu: { shares: { value: 1 } } } } } },
  { field: "CPUQuota", adjust: { linux: { resources: { cpu: { quota: { value: -1 } } } } } },
  { field: "CPUPeriod", adjust: { linux: { resources: { cpu: { period: { value: 1 } } } } } },
  {
    field: "CPURealtimeRuntime",
    adjust: { linux: { resources: { cpu: { realtimeRuntime: { value: 1 } } } } },
  },
  {
    field: "CPURealtimePeriod",
    adjust: { linux: { resources: { cpu: { realtimePeriod: { value: 1 } } } } },
  },
  { field: "CPUSetCPUs", adjust: { linux: { resources: { cpu: { cpus: "0" } } } } },
  { field: "CPUSetMems", adjust: { linux: { resources: { cpu: { mems: "0" } } } } },
  { field: "PidsLimit", adjust: { linux: { resources: { pids: { limit: -1 } } } } },
  {
    field: "HugepageLimits 1GB",
    adjust: { linux: { resources: { hugepageLimits: [{ pageSize: "1GB" }] } } },
  },
  { field: "BlockioClass", adjust: { linux: { resources: { blockioClass: { value: "" } } } } },
  { field: "RdtClass", adjust: { linux: { resources: { rdtClass: { value: "a" } } } } },
  {
    field: "CgroupsUnified memory.high",
    adjust: { linux: { resources: { unified: { "memory.high": "1" } } } },
  },
] satisfies { field: string; adjust: ContainerAdjustmentInit; again?: ContainerAdjustmentInit }[]) {
  test(`two plugins cannot both set ${field}`, () => {
    const all = merged(["10-a", adjust]);
    const before = all.result();
    assert.throws(
      () => add(all, "20-b", { adjust: { ...again, hooks: { prestart: [{ path: "/h" }] } } }),
      {
        code: "FAILED_PRECONDITION",
        message: `plugins "20-b" and "10-a" both tried to set ${field}`,
      },
    );
    assert.deepEqual(all.result(), before, "an answer counts as a whole or not at all");
  });
}

test("a plugin that sets one key twice conflicts with itself", () => {
  for (const [field, adjust] of [
    ["Mounts /x", { mounts: [mount("/a"), mount("/b")] }],
    ["Env K", { env: [{ key: "K" }, { key: "K" }] }],
    ["CdiDevices v.com/c=1", { CDIDevices: [{ name: "v.com/c=1" }, { name: "v.com/c=1" }] }],
    ["Namespace pid", { linux: { namespaces: [{ type: "-pid" }, { type: "pid" }] } }],
  ] as const) {
    assert.throws(() => merged(["10-a", adjust]), {
      message: `plugins "10-a" and "10-a" both tried to set ${field}`,
    });
  }
});

// A sets, B removes and sets anew, C may not.
for (const { name, first, second, wanted, third } of [
  {
    name: "a mount",
    first: { mounts: [mount("/a")] },
    second: { mounts: [mount("/b"), { destination: "-/x" }] },
    wanted: { mounts: [{ destination: "/x", type: "", source: "/b", options: ["bind"] }] },
    third: { mounts: [mount("/c")] },
  },
  {
    name: "an annotation",
    first: { annotations: { k: "a" } },
    second: { annotations: { k: "b", "-k": "" } },
    wanted: { annotations: { k: "b" } },
    third: { annotations: { k: "c" } },
  },
  {
    name: "a variable",
    first: { env: [{ key: "K", value: "a" }] },
    second: { env: [{ key: "K", value: "b" }, { key: "-K" }] },
    wanted: { env: [{ key: "K", value: "b" }] },
    third: { env: [{ key: "K", value: "c" }] },
  },
  {
    name: "the arguments",
    first: { args: ["a"] },
    second: { args: ["", "b", "c"] },
    wanted: { args: ["b", "c"] },
    third: { args: ["d"] },
  },
  {
    name: "a device",
    first: { linux: { devices: [device("/dev/x", 1)] } },
    second: { linux: { devices: [{ path: "-/dev/x" }, device("/dev/x", 2)] } },
    wanted: {
      linux: {
        devices: [
          { path: "/dev/x", type: "c", major: 1n, minor: 2n, fileMode: null, uid: null, gid: null },
        ],
      },
    },
    third: { linux: { devices: [device("/dev/x", 3)] } },
  },
  {
    name: "a sysctl",
    first: { linux: { sysctl: { "a.b": "1" } } },
    second: { linux: { sysctl: { "a.b": "2", "-a.b": "" } } },
    wanted: { linux: { sysctl: { "a.b": "2" } } },
    third: { linux: { sysctl: { "a.b": "3" } } },
  },
  {
    name: "an interface",
    first: { linux: { netDevices: { eth0: { name: "a" } } } },
    second: { linux: { netDevices: { "-eth0": {}, eth0: { name: "b" } } } },
    wanted: { linux: { netDevices: { eth0: { name: "b" } } } },
    third: { linux: { netDevices: { eth0: { name: "c" } } } },
  },
  {
    name: "RDT",
    first: { linux: { rdt: { closId: { value: "a" }, schemata: { value: ["L3:0=f"] } } } },
    second: { linux: { rdt: { remove: true, closId: { value: "b" } } } },
    wanted: {
      linux: {
        rdt: { remove: true, closId: { value: "b" }, schemata: null, enableMonitoring: null },
      },
    },
    third: { linux: { rdt: { schemata: { value: [] } } } },
  },
]) {
  test(`who removes ${name} that another has set may set it anew, and nobody else`, () => {
    const all = merged(["10-a", first], ["20-b", second]);
    assert.deepEqual(picked(all.result().adjust, wanted), wanted);
    assert.throws(
      () => add(all, "30-c", { adjust: third }),
      /plugins "30-c" and "20-b" both tried/,
    );
  });
}

/** Of an object only what the other one has. */
function picked(whole: object | undefined, wanted: object): object {
  return Object.fromEntries(
    Object.entries(wanted).map(([key, value]) => {
      const found = whole?.[key as keyof typeof whole] as unknown;
      if (key === "linux" && typeof value === "object")
        return [key, picked(found as object, value)];
      return [key, found];
    }),
  );
}

test("what is removed is hidden from later plugins, told in the owners, and reaches the adjustment", () => {
  const all = merged([
    "10-a",
    {
      annotations: { "-given": "" },
      env: [{ key: "-GIVEN" }],
      mounts: [{ destination: "-/given" }],
      linux: {
        devices: [{ path: "-/dev/given" }],
        namespaces: [{ type: "-network" }],
        sysctl: { "-net.given": "" },
        netDevices: { "-eth9": {} },
      },
    },
  ]);
  const { container } = all.request;
  assert.deepEqual(container?.annotations, {});
  assert.deepEqual(container?.env, ["PATH=/bin"]);
  assert.deepEqual(container?.mounts, []);
  assert.deepEqual(container?.linux?.devices, []);
  assert.deepEqual(container?.linux?.namespaces, [{ type: "pid", path: "" }]);
  assert.deepEqual(container?.linux?.sysctl, {});
  assert.deepEqual(container?.linux?.netDevices, {});
  const { adjust, owners } = all.result();
  assert.deepEqual(adjust?.annotations, { "-given": "" });
  assert.deepEqual(adjust?.env, [{ key: "-GIVEN", value: "" }]);
  assert.equal(adjust?.mounts[0]?.destination, "-/given");
  assert.equal(adjust?.linux?.devices[0]?.path, "-/dev/given");
  assert.deepEqual(adjust?.linux?.namespaces, [{ type: "-network", path: "" }]);
  assert.deepEqual(adjust?.linux?.sysctl, { "-net.given": "" });
  assert.deepEqual(adjust?.linux?.netDevices, { "-eth9": { name: "" } });
  assert.deepEqual(owners?.owners["new"]?.compound["6"], { owners: { GIVEN: "-10-a" } });
  // What no plugin had set may be set by those that come later.
  add(all, "20-b", { adjust: { env: [{ key: "GIVEN", value: "2" }] } });
  assert.deepEqual(all.result().adjust?.env, [{ key: "GIVEN", value: "2" }]);
  assert.deepEqual(all.result().owners?.owners["new"]?.compound["6"], {
    owners: { GIVEN: "20-b" },
  });
});

test("a bare removal of what another has set takes it away, and its claim", () => {
  const all = merged(
    ["10-a", { annotations: { k: "a" }, linux: { sysctl: { "a.b": "1" } } }],
    ["20-b", { annotations: { "-k": "" }, linux: { sysctl: { "-a.b": "" } } }],
  );
  assert.deepEqual(all.result().adjust?.annotations, { "-k": "" });
  assert.deepEqual(all.result().adjust?.linux?.sysctl, { "-a.b": "" });
  assert.throws(
    () => add(all, "30-c", { adjust: { annotations: { k: "c" } } }),
    /"30-c" and "20-b"/,
  );
});

test("the next plugin sees the container with what is set so far", () => {
  const { request } = merged(
    [
      "10-a",
      {
        annotations: { k: "1" },
        env: [
          { key: "PATH", value: "/sbin" },
          { key: "K", value: "=x" },
        ],
        args: ["run"],
        hooks: { poststop: [{ path: "/a" }] },
        mounts: [mount("/b", "/given"), mount("/c")],
        rlimits: [{ type: "RLIMIT_NOFILE", hard: 5, soft: 5 }],
        CDIDevices: [{ name: "v.com/c=1" }],
        linux: {
          resources: {
            memory: { swap: { value: 7 } },
            cpu: { cpus: "1" },
            hugepageLimits: [{ pageSize: "2MB", limit: 9 }],
            devices: [{ allow: true, type: "c", access: "r" }],
            unified: { "memory.high": "1" },
            pids: { limit: 3 },
          },
          cgroupsPath: "/x",
          oomScoreAdj: { value: 5 },
          namespaces: [{ type: "network", path: "/netns/y" }],
        },
      },
    ],
    ["20-b", { hooks: { poststop: [{ path: "/b" }] } }],
  );
  const { container } = request;
  assert.equal(request.pod?.name, "web");
  assert.deepEqual(container?.annotations, { given: "1", k: "1" });
  assert.deepEqual(container?.env, ["GIVEN=1", "PATH=/sbin", "K==x"]);
  assert.deepEqual(container?.args, ["run"]);
  assert.deepEqual(
    container?.mounts.map(({ destination, source }) => [destination, source]),
    [
      ["/given", "/b"],
      ["/x", "/c"],
    ],
  );
  assert.deepEqual(container?.rlimits, [{ type: "RLIMIT_NOFILE", hard: 5n, soft: 5n }]);
  assert.deepEqual(
    container?.hooks?.poststop.map(({ path }) => path),
    ["/a", "/b"],
  );
  assert.deepEqual(container?.CDIDevices, []);
  const linux = container?.linux;
  const resources = linux?.resources;
  assert.deepEqual(resources?.memory?.limit, { value: 100n });
  assert.deepEqual(resources?.memory?.swap, { value: 7n });
  assert.deepEqual(resources?.cpu?.shares, { value: 10n });
  assert.equal(resources?.cpu?.cpus, "1");
  assert.deepEqual(resources?.hugepageLimits, [{ pageSize: "2MB", limit: 9n }]);
  assert.equal(resources?.devices.length, 1);
  assert.deepEqual(resources?.pids, { limit: 3n });
  assert.equal(linux?.cgroupsPath, "/x");
  assert.deepEqual(linux?.oomScoreAdj, { value: 5n });
  assert.deepEqual(linux?.namespaces.at(-1), { type: "network", path: "/netns/y" });
});

test("hooks and device rules are added to, and hooks have several owners", () => {
  const rule = { allow: true, type: "c", access: "r" };
  const { adjust, owners } = merged(
    ["10-a", { hooks: { prestart: [{ path: "/a" }] }, linux: { resources: { devices: [rule] } } }],
    ["20-b", { linux: { resources: { devices: [rule] } } }],
    ["30-c", { hooks: { prestart: [{ path: "/c" }], poststop: [{ path: "/d" }] } }],
  ).result();
  assert.deepEqual(
    adjust?.hooks?.prestart.map(({ path }) => path),
    ["/a", "/c"],
  );
  assert.equal(adjust?.linux?.resources?.devices.length, 2);
  assert.deepEqual(owners?.owners, { new: { simple: { 3: "10-a,30-c" }, compound: {} } });
});

test("keys that mean something to JavaScript are keys like others", () => {
  const { adjust, owners } = merged([
    "10-a",
    {
      annotations: Object.fromEntries([
        ["__proto__", "1"],
        ["constructor", "2"],
      ]),
    },
  ]).result();
  assert.deepEqual(Object.entries(adjust?.annotations ?? {}), [
    ["__proto__", "1"],
    ["constructor", "2"],
  ]);
  assert.deepEqual(Object.keys(owners?.owners["new"]?.compound["1"]?.owners ?? {}), [
    "__proto__",
    "constructor",
  ]);
});

test("others are updated, and never the container that is being made", () => {
  const all = merge();
  const linux = (shares: number) => ({ resources: { cpu: { shares: { value: shares } } } });
  add(all, "10-a", { update: [{ containerId: "other", linux: linux(2) }] });
  assert.throws(
    () =>
      add(all, "20-b", { update: [{ containerId: "new", linux: linux(2), ignoreFailure: true }] }),
    {
      code: "FAILED_PRECONDITION",
      message: 'plugin "20-b" asked update of "new" during creation',
    },
  );
  assert.throws(
    () => add(all, "20-b", { update: [{ containerId: "other", linux: linux(3) }] }),
    /plugins "20-b" and "10-a" both tried to set CPUShares$/,
  );
  const { adjust, updates, owners } = all.result();
  assert.equal(adjust, undefined);
  assert.deepEqual(
    updates.map(({ containerId, linux: l }) => [containerId, l?.resources?.cpu?.shares]),
    [["other", { value: 2n }]],
  );
  assert.deepEqual(owners?.owners, { other: { simple: { 16: "10-a" }, compound: {} } });
});

for (const [what, adjust, message] of [
  [
    "a hook without a path",
    { hooks: { createRuntime: [{}] } },
    /adjust\.hooks\.create_runtime\[0\]\.path: it is empty/,
  ],
  [
    "a hook's timeout below zero",
    { hooks: { poststop: [{ path: "/h", timeout: { value: -1 } }] } },
    /poststop\[0\]\.timeout: -1/,
  ],
  [
    "a mount without a destination",
    { mounts: [{ source: "/a" }] },
    /adjust\.mounts\[0\]\.destination: it is empty/,
  ],
  ["a relative mount", { mounts: [{ destination: "a" }] }, /"a" is not an absolute path/],
  ["a variable without a name", { env: [{ value: "1" }] }, /adjust\.env\[0\]\.key: it is empty/],
  ["a variable with an equals sign", { env: [{ key: "A=B" }] }, /env\[0\]\.key: "A=B" has a "="/],
  [
    "an annotation without a key",
    { annotations: { "-": "" } },
    /adjust\.annotations: a key is empty/,
  ],
  ["no arguments", { args: [""] }, /adjust\.args: there are none/],
  [
    "an unknown rlimit",
    { rlimits: [{ type: "RLIMIT_FUN" }] },
    /rlimits\[0\]\.type: unknown value "RLIMIT_FUN"/,
  ],
  [
    "a soft limit above the hard one",
    { rlimits: [{ type: "RLIMIT_CORE", soft: 2, hard: 1 }] },
    /soft: 2 is above/,
  ],
  ["a CDI device without a name", { CDIDevices: [{}] }, /CDI_devices\[0\]\.name: it is empty/],
  ["a NUL", { env: [{ key: "A", value: "a\0" }] }, /adjust\.env\[0\]\.value: it has a NUL/],
  [
    "a device without a type",
    { linux: { devices: [{ path: "/dev/x" }] } },
    /devices\[0\]\.type: "" is none of/,
  ],
  ["a device without a path", { linux: { devices: [{ type: "c" }] } }, /devices\[0\]\.path/],
  [
    "a negative device number",
    { linux: { devices: [{ path: "/dev/x", type: "c", major: -1 }] } },
    /devices\[0\]\.major: -1/,
  ],
  [
    "an unknown namespace",
    { linux: { namespaces: [{ type: "net" }] } },
    /namespaces\[0\]\.type: unknown value "net"/,
  ],
  [
    "a sysctl that is none",
    { linux: { sysctl: { "a/../../b": "" } } },
    /linux\.sysctl: "a\/\.\.\/\.\.\/b" is no sysctl/,
  ],
  [
    "a long name of an interface",
    { linux: { netDevices: { eth0: { name: "x".repeat(16) } } } },
    /net_devices/,
  ],
  [
    "a score of 1001",
    { linux: { oomScoreAdj: { value: 1001 } } },
    /oom_score_adj: 1001 is outside/,
  ],
  [
    "an unknown I/O class",
    { linux: { ioPriority: { class: 9 } } },
    /io_priority\.class: unknown value 9/,
  ],
  ["an I/O priority of 8", { linux: { ioPriority: { priority: 8 } } }, /io_priority\.priority: 8/],
  [
    "an unknown scheduler",
    { linux: { scheduler: { policy: 99 } } },
    /scheduler\.policy: unknown value 99/,
  ],
  [
    "an unknown scheduler flag",
    { linux: { scheduler: { flags: [99] } } },
    /scheduler\.flags: unknown value 99/,
  ],
  [
    "an unknown memory mode",
    { linux: { memoryPolicy: { mode: 99 } } },
    /memory_policy\.mode: unknown value 99/,
  ],
  [
    "an unknown memory flag",
    { linux: { memoryPolicy: { flags: [9] } } },
    /memory_policy\.flags: unknown value 9/,
  ],
  [
    "memory nodes that are none",
    { linux: { memoryPolicy: { nodes: "x" } } },
    /memory_policy\.nodes/,
  ],
  ["an RDT group elsewhere", { linux: { rdt: { closId: { value: "../x" } } } }, /rdt\.clos_id/],
  [
    "a policy without an action",
    { linux: { seccompPolicy: {} } },
    /seccomp_policy\.default_action: unknown value ""/,
  ],
  [
    "a rule without a name",
    {
      linux: {
        seccompPolicy: { defaultAction: "SCMP_ACT_LOG", syscalls: [{ action: "SCMP_ACT_LOG" }] },
      },
    },
    /syscalls\[0\]\.names/,
  ],
  [
    "a memory limit below -1",
    { linux: { resources: { memory: { limit: { value: -2 } } } } },
    /resources\.memory\.limit: -2 is negative/,
  ],
  [
    "a limit of processes below -1",
    { linux: { resources: { pids: { limit: -2 } } } },
    /resources\.pids\.limit: -2/,
  ],
  [
    "a CPU list that is none",
    { linux: { resources: { cpu: { cpus: "a" } } } },
    /cpu\.cpus: "a" is no list/,
  ],
  [
    "a page size that is none",
    { linux: { resources: { hugepageLimits: [{ pageSize: "2" }] } } },
    /hugepage_limits\[0\]\.page_size/,
  ],
  [
    "a cgroup file elsewhere",
    { linux: { resources: { unified: { "../x": "1" } } } },
    /resources\.unified/,
  ],
  [
    "a device rule of no type",
    { linux: { resources: { devices: [{ type: "x" }] } } },
    /resources\.devices\[0\]: type "x"/,
  ],
] as const) {
  test(`${what} is refused, with the plugin's name and the field`, () => {
    const asked = merged(["10-a", { annotations: { k: "1" } }]);
    assert.throws(
      () => add(asked, "66-bad", { adjust }),
      (error: Error & { code: string }) => {
        assert.equal(error.code, "FAILED_PRECONDITION");
        assert.match(error.message, /^plugin "66-bad": adjust\./);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test("a hundred thousand entries are refused in few words", () => {
  const env = Array.from({ length: 100_000 }, (_, at) => ({ key: `K${at}`, value: "1" }));
  for (const [adjust, field] of [
    [{ env }, /^plugin "66-bad": adjust\.env/],
    [{ annotations: Object.fromEntries(env.map(({ key }) => [key, ""])) }, /adjust\.annotations/],
    [
      { args: ["x".repeat(3 * 1024 * 1024)] },
      /adjust\.args\[0\]: all answers together have more than/,
    ],
  ] as const) {
    assert.throws(
      () => merged(["66-bad", adjust]),
      (error: Error) => {
        assert.match(error.message, field);
        assert.ok(error.message.length < 300, error.message);
        return true;
      },
    );
  }
});
