// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { sandboxInput, testServices } from "../../../test/support/spec-input.ts";
import { buildSandboxSpec } from "./build-sandbox-spec.ts";

test("the sandbox's init is the built-in pause without any privilege", async () => {
  const spec = await buildSandboxSpec(sandboxInput(), testServices);
  assert.deepEqual(spec.root, { path: "/var/lib/berthd/pause/rootfs", readonly: true });
  assert.deepEqual(spec.process, {
    user: { uid: 65535, gid: 65535, additionalGids: [65535] },
    args: ["/pause"],
    env: [],
    cwd: "/",
    capabilities: { bounding: [], effective: [], permitted: [] },
    noNewPrivileges: true,
    oomScoreAdj: -998,
  });
  assert.deepEqual(
    spec.mounts.map(({ destination }) => destination),
    ["/proc", "/dev", "/dev/shm"],
  );
  assert.deepEqual(spec.linux.resources.cpu, { shares: 2 });
  assert.equal(spec.linux.cgroupsPath, "/k8s.io/sb1");
  for (const masked of ["/proc/kcore", "/sys/devices/virtual/powercap"]) {
    assert.ok(spec.linux.maskedPaths?.includes(masked), masked);
  }
  assert.deepEqual(spec.linux.sysctl, {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
  });
});

const users = [
  {
    name: "a user",
    security: { runAsUser: { value: 7n } },
    out: { uid: 7, gid: 0, additionalGids: [0] },
  },
  {
    name: "user, group and groups",
    security: { runAsUser: { value: 7n }, runAsGroup: { value: 8n }, supplementalGroups: [3n] },
    out: { uid: 7, gid: 8, additionalGids: [3, 8] },
  },
];

for (const { name, security, out } of users) {
  test(`the sandbox's init runs as ${name}`, async () => {
    const spec = await buildSandboxSpec(
      sandboxInput({ config: { linux: { securityContext: security } } }),
      testServices,
    );
    assert.deepEqual(spec.process.user, out);
  });
}

test("buildSandboxSpec refuses a group without a user, and a pod without a name", async () => {
  const group = { linux: { securityContext: { runAsGroup: { value: 8n } } } };
  await assert.rejects(
    buildSandboxSpec(sandboxInput({ config: group }), testServices),
    /run_as_group: group 8/,
  );
  await assert.rejects(
    buildSandboxSpec(sandboxInput({ config: { metadata: { name: "" } } }), testServices),
    /^RuntimeFault: metadata\.name/,
  );
});

const hostnames: readonly { name: string; hostname: string; refused: boolean }[] = [
  { name: "no hostname", hostname: "", refused: false },
  { name: "the node's own", hostname: "node-1", refused: false },
  { name: "another", hostname: "web", refused: true },
];
for (const { name, hostname, refused } of hostnames) {
  test(`a pod in the node's network that asks for ${name} is ${refused ? "refused" : "made"}`, async () => {
    const linux = { securityContext: { namespaceOptions: { network: "NODE" as const } } };
    const making = buildSandboxSpec(
      sandboxInput({ config: { linux, hostname }, netnsPath: "" }),
      testServices,
    );
    if (!refused) assert.equal((await making).hostname, undefined);
    else {
      await assert.rejects(making, {
        code: "INVALID_ARGUMENT",
        message: "hostname: \"web\": a pod in the node's network has the node's name",
      });
    }
  });
}

for (const name of ["pid", "ipc"] as const) {
  test(`buildSandboxSpec refuses the node's ${name} together with a user namespace`, async () => {
    const ids = [{ containerId: 0, hostId: 65_536, length: 65_536 }];
    const namespaceOptions = {
      [name]: "NODE",
      usernsOptions: { mode: "POD" as const, uids: ids, gids: ids },
    };
    await assert.rejects(
      buildSandboxSpec(
        sandboxInput({ config: { linux: { securityContext: { namespaceOptions } } } }),
        testServices,
      ),
      { code: "INVALID_ARGUMENT", message: new RegExp(`namespace_options.${name}: NODE cannot`) },
    );
  });
}
