// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  allFeatures,
  plainHost,
  sandboxInput,
  specOf,
  testRefusals,
  testServices,
} from "../../../test/support/spec-input.ts";
import { isFault } from "../../base/errors.ts";
import type { NamespaceOptionInit } from "../../gen/cri.gen.ts";
import { buildSandboxSpec } from "./build-sandbox-spec.ts";

const netns = "/run/berthd/netns/sb1";
const mapping = {
  uids: [{ hostId: 65536, containerId: 0, length: 65536 }],
  gids: [{ hostId: 65536, containerId: 0, length: 65536 }],
};

const sandboxes: { name: string; options: NamespaceOptionInit; netnsPath: string; out: string }[] =
  [
    {
      name: "own everything",
      options: {},
      netnsPath: netns,
      out: `ipc mount network=${netns} pid uts`,
    },
    { name: "host network", options: { network: "NODE" }, netnsPath: "", out: "ipc mount pid" },
    {
      name: "host pid and ipc",
      options: { pid: "NODE", ipc: "NODE" },
      netnsPath: netns,
      out: `mount network=${netns} uts`,
    },
    {
      name: "pid per container",
      options: { pid: "CONTAINER" },
      netnsPath: netns,
      out: `ipc mount network=${netns} pid uts`,
    },
    {
      name: "user namespace",
      options: { usernsOptions: { mode: "POD", ...mapping } },
      netnsPath: netns,
      out: `ipc mount network=${netns} pid user=/run/berthd/netns/sb1.user uts`,
    },
  ];

for (const { name, options, netnsPath, out } of sandboxes) {
  test(`sandbox namespaces: ${name}`, async () => {
    const spec = await buildSandboxSpec(
      sandboxInput({
        netnsPath,
        config: {
          hostname: options.network === "NODE" ? "" : "web",
          linux: { securityContext: { namespaceOptions: options } },
        },
      }),
      testServices,
    );
    assert.equal(shown(spec.linux.namespaces), out);
    assert.equal(spec.hostname, options.network === "NODE" ? undefined : "web");
  });
}

const joined = "ipc=/proc/4242/ns/ipc mount network=/proc/4242/ns/net";
const containers: {
  name: string;
  options: NamespaceOptionInit;
  targetPid?: number;
  v1?: boolean;
  out: string;
}[] = [
  {
    name: "the pod's",
    options: {},
    out: `cgroup ${joined} pid=/proc/4242/ns/pid uts=/proc/4242/ns/uts`,
  },
  {
    name: "no cgroup namespace on v1",
    options: {},
    v1: true,
    out: `${joined} pid=/proc/4242/ns/pid uts=/proc/4242/ns/uts`,
  },
  {
    name: "a pid namespace of its own",
    options: { pid: "CONTAINER" },
    v1: true,
    out: `${joined} pid uts=/proc/4242/ns/uts`,
  },
  {
    name: "the node's pids, through the sandbox",
    options: { pid: "NODE" },
    v1: true,
    out: `${joined} pid=/proc/4242/ns/pid uts=/proc/4242/ns/uts`,
  },
  {
    name: "a target's pids",
    options: { pid: "TARGET", targetId: "t" },
    targetPid: 77,
    v1: true,
    out: `${joined} pid=/proc/77/ns/pid uts=/proc/4242/ns/uts`,
  },
];

for (const { name, options, targetPid, v1, out } of containers) {
  test(`container namespaces: ${name}`, async () => {
    const spec = await specOf({
      targetPid,
      host: v1 ? { ...plainHost, cgroupVersion: 1 } : plainHost,
      config: { linux: { securityContext: { namespaceOptions: options } } },
    });
    assert.equal(shown(spec.linux.namespaces), out);
  });
}

test("a container in the pod's user namespace joins it and carries its mappings", async () => {
  const namespaceOptions = { usernsOptions: { mode: "POD" as const, ...mapping } };
  const linux = { securityContext: { namespaceOptions } };
  const spec = await specOf({ pod: { linux }, config: { linux } });
  assert.match(shown(spec.linux.namespaces), /user=\/proc\/4242\/ns\/user/);
  assert.deepEqual(spec.linux.uidMappings, [{ containerID: 0, hostID: 65536, size: 65536 }]);
  assert.deepEqual(spec.linux.gidMappings, spec.linux.uidMappings);
  // Its root owns the sandbox's files on the disk.
  assert.deepEqual(
    spec.mounts.filter((mount) => mount.uidMappings !== undefined),
    [],
  );
});

const userns = (usernsOptions: object, pod?: object) => ({
  pod: {
    linux: { securityContext: { namespaceOptions: { usernsOptions: pod ?? usernsOptions } } },
  },
  config: { linux: { securityContext: { namespaceOptions: { usernsOptions } } } },
});

testRefusals([
  {
    name: "a target that does not run",
    changes: {
      config: {
        linux: { securityContext: { namespaceOptions: { pid: "TARGET", targetId: "gone" } } },
      },
    },
    code: "INVALID_ARGUMENT",
    message: /target_id: container "gone" is not running/,
  },
  {
    name: "two uid mappings",
    changes: userns({ mode: "POD", uids: [...mapping.uids, ...mapping.uids], gids: mapping.gids }),
    code: "INVALID_ARGUMENT",
    message: /uids: exactly one mapping is needed, not 2/,
  },
  {
    name: "no gid mapping",
    changes: userns({ mode: "POD", uids: mapping.uids }),
    code: "INVALID_ARGUMENT",
    message: /gids: exactly one/,
  },
  {
    name: "an empty mapping",
    changes: userns({ mode: "POD", uids: [{ length: 0 }], gids: mapping.gids }),
    code: "INVALID_ARGUMENT",
    message: /length is 0/,
  },
  {
    name: "NODE with mappings",
    changes: userns({ mode: "NODE", ...mapping }),
    code: "INVALID_ARGUMENT",
    message: /NODE takes no mappings/,
  },
  {
    name: "user mode CONTAINER",
    changes: userns({ mode: "CONTAINER" }),
    code: "INVALID_ARGUMENT",
    message: /CONTAINER is not supported/,
  },
  {
    name: "user mode TARGET",
    changes: userns({ mode: "TARGET" }),
    code: "INVALID_ARGUMENT",
    message: /TARGET is not supported/,
  },
  {
    name: "a user namespace other than the pod's",
    changes: userns({ mode: "POD", ...mapping }, { mode: "NODE" }),
    code: "INVALID_ARGUMENT",
    message: /differs from the sandbox's/,
  },
  {
    name: "user namespaces on a handler without them",
    changes: {
      ...userns({ mode: "POD", ...mapping }),
      features: { ...allFeatures, userNamespaces: false },
    },
    code: "FAILED_PRECONDITION",
    message: /handler cannot run user namespaces/,
  },
]);

test("a sandbox's network must fit its options", async () => {
  await assert.rejects(buildSandboxSpec(sandboxInput({ netnsPath: "" }), testServices), (error) =>
    isFault(error, "INVALID_ARGUMENT"),
  );
  const options = {
    linux: { securityContext: { namespaceOptions: { network: "TARGET" as const } } },
  };
  await assert.rejects(
    buildSandboxSpec(sandboxInput({ config: options }), testServices),
    /network: TARGET is not supported/,
  );
});

function shown(namespaces: readonly { type: string; path?: string }[]): string {
  return namespaces
    .map(({ type, path }) => (path === undefined ? type : `${type}=${path}`))
    .sort()
    .join(" ");
}
