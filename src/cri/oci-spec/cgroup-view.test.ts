// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  allFeatures,
  containerInput,
  plainHost,
  sandboxInput,
  specOf,
  testRefusals,
  testServices,
} from "../../../test/support/spec-input.ts";
import { defaultHandler } from "../../config/defaults.ts";
import type { CgroupMountMode, NamespaceMode } from "../../gen/cri.gen.ts";
import { buildContainerSpec } from "./build-container-spec.ts";
import { buildSandboxSpec } from "./build-sandbox-spec.ts";

interface Asked {
  readonly mount?: CgroupMountMode;
  readonly namespace?: NamespaceMode;
  readonly privileged?: boolean;
  readonly v1?: boolean;
}

type Changes = Exclude<Parameters<typeof specOf>[0], undefined>;

const asking = ({ mount, namespace, privileged = false, v1 = false }: Asked): Changes => ({
  host: v1 ? { ...plainHost, cgroupVersion: 1 } : plainHost,
  pod: { linux: { securityContext: { privileged: true } } },
  handler: { ...defaultHandler, privilegedWithoutHostDevices: true },
  config: {
    linux: {
      securityContext: {
        privileged,
        ...(mount && { cgroupMountMode: mount }),
        ...(namespace && { namespaceOptions: { cgroupnsOptions: { mode: namespace } } }),
      },
    },
  },
});

const readOnly = "CGROUP_MOUNT_MODE_READ_ONLY";
const readWrite = "CGROUP_MOUNT_MODE_READ_WRITE";

const rows: { name: string; asked: Asked; access: "ro" | "rw"; own: boolean }[] = [
  { name: "the default", asked: {}, access: "ro", own: true },
  { name: "the default on v1", asked: { v1: true }, access: "ro", own: false },
  { name: "the default, privileged", asked: { privileged: true }, access: "rw", own: false },
  { name: "read-only", asked: { mount: readOnly }, access: "ro", own: true },
  { name: "read-only on v1", asked: { mount: readOnly, v1: true }, access: "ro", own: false },
  { name: "writable", asked: { mount: readWrite }, access: "rw", own: true },
  {
    name: "writable in a namespace of its own",
    asked: { mount: readWrite, namespace: "CONTAINER" },
    access: "rw",
    own: true,
  },
  {
    name: "writable and privileged in the node's namespace",
    asked: { mount: readWrite, namespace: "NODE", privileged: true },
    access: "rw",
    own: false,
  },
  { name: "the node's namespace", asked: { namespace: "NODE" }, access: "ro", own: false },
  {
    name: "a namespace of its own, privileged",
    asked: { namespace: "CONTAINER", privileged: true },
    access: "rw",
    own: true,
  },
  {
    name: "a namespace of its own on v1",
    asked: { namespace: "CONTAINER", v1: true },
    access: "ro",
    own: true,
  },
];

for (const { name, asked, access, own } of rows) {
  test(`a container's cgroups: ${name}`, async () => {
    const { mounts, linux } = await specOf(asking(asked));
    const mount = mounts.find(({ destination }) => destination === "/sys/fs/cgroup");
    const isOwn = linux.namespaces.some(({ type }) => type === "cgroup");
    assert.deepEqual([mount?.options?.at(-1), isOwn], [access, own]);
    // Mounted anew in the host's namespace it would lose nsdelegate for all.
    const wanted = own || asked.v1 ? ["cgroup", "cgroup"] : ["bind", "/sys/fs/cgroup"];
    assert.deepEqual([mount?.type, mount?.source], wanted);
  });
}

test("a handler that makes the tree writable is overruled", async () => {
  const handler = { ...defaultHandler, cgroupWritable: true };
  const { mounts } = await specOf({ ...asking({ mount: readOnly }), handler });
  assert.ok(
    mounts.some(
      ({ destination, options }) => destination === "/sys/fs/cgroup" && options?.at(-1) === "ro",
    ),
  );
});

test("a virtual machine gets a tree of its own", async () => {
  const handler = { ...defaultHandler, type: "io.containerd.kata.v2" };
  const { mounts } = await specOf({ ...asking({ namespace: "NODE" }), handler });
  const mount = mounts.find(({ destination }) => destination === "/sys/fs/cgroup");
  assert.equal(mount?.type, "cgroup");
});

const covering = (containerPath: string): Changes => {
  const { config, ...rest } = asking({ mount: readOnly });
  return { ...rest, config: { ...config, mounts: [{ containerPath, hostPath: "/etc" }] } };
};

testRefusals([
  {
    name: "a read-only tree of a privileged container",
    changes: asking({ mount: readOnly, privileged: true }),
    code: "INVALID_ARGUMENT",
    message: /cgroup_mount_mode: CGROUP_MOUNT_MODE_READ_ONLY cannot be: .* privileged/,
  },
  {
    name: "a writable tree in the node's namespace",
    changes: asking({ mount: readWrite, namespace: "NODE" }),
    code: "INVALID_ARGUMENT",
    message: /CGROUP_MOUNT_MODE_READ_WRITE cannot be in the node's cgroup namespace/,
  },
  {
    name: "a writable tree on cgroup v1",
    changes: asking({ mount: readWrite, v1: true }),
    code: "FAILED_PRECONDITION",
    message: /CGROUP_MOUNT_MODE_READ_WRITE needs cgroup v2/,
  },
  ...(["POD", "TARGET"] as const).map((namespace) => ({
    name: `a cgroup namespace of mode ${namespace}`,
    changes: asking({ namespace }),
    code: "INVALID_ARGUMENT" as const,
    message: /cgroupns_options\.mode: (POD|TARGET) is not supported; use CONTAINER or NODE/,
  })),
  {
    name: "a cgroup namespace that the handler cannot make",
    changes: {
      ...asking({ namespace: "CONTAINER" }),
      features: { ...allFeatures, cgroupNamespaces: false },
    },
    code: "FAILED_PRECONDITION",
    message: /cgroupns_options\.mode: the runtime handler cannot/,
  },
  ...["/sys/fs/cgroup/", "/sys/fs/../fs", "/"].map((containerPath) => ({
    name: `a mount at ${containerPath} with a mode for the cgroup tree`,
    changes: covering(containerPath),
    code: "INVALID_ARGUMENT" as const,
    message: /^mounts\[0\]\.container_path: ".*" covers \/sys\/fs\/cgroup/,
  })),
]);

test("a writable tree is refused where cgroups are not delegated to namespaces", async () => {
  const services = { ...testServices, delegatesCgroups: async () => false };
  for (const privileged of [false, true]) {
    const input = containerInput(asking({ mount: readWrite, privileged }));
    await assert.rejects(buildContainerSpec(input, services), {
      code: "FAILED_PRECONDITION",
      message: /cgroup_mount_mode: .* needs \/sys\/fs\/cgroup mounted with nsdelegate/,
    });
  }
});

test("a mount below the tree, or of another, covers nothing", async () => {
  for (const place of ["/sys/fs/cgroup/unified/x", "/sys/fs/cgroup2"])
    await specOf(covering(place));
});

test("a sandbox has no say over cgroup namespaces", async () => {
  const namespaceOptions = { cgroupnsOptions: { mode: "CONTAINER" as const } };
  const input = sandboxInput({ config: { linux: { securityContext: { namespaceOptions } } } });
  await assert.rejects(buildSandboxSpec(input, testServices), {
    code: "INVALID_ARGUMENT",
    message: /cgroupns_options: is for containers/,
  });
});
