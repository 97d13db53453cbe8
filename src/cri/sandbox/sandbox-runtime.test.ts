// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { allFeatures, sandboxInput, testServices } from "../../../test/support/spec-input.ts";
import type { RuntimeHandlerConfig } from "../../config/config.ts";
import { defaultHandler } from "../../config/defaults.ts";
import type { PodSandboxConfigInit } from "../../gen/cri.gen.ts";
import type { OciSpec } from "../../oci/spec.ts";
import { buildSandboxSpec } from "../oci-spec/build-sandbox-spec.ts";
import { sandboxRuntime } from "./sandbox-runtime.ts";

const ids = [{ containerId: 0, hostId: 65_536, length: 65_536 }];
const userNamespace: PodSandboxConfigInit = {
  linux: {
    securityContext: { namespaceOptions: { usernsOptions: { mode: "POD", uids: ids, gids: ids } } },
  },
};

const cases: readonly {
  readonly name: string;
  readonly handler?: Partial<RuntimeHandlerConfig>;
  readonly config?: PodSandboxConfigInit;
  readonly change?: (spec: OciSpec) => void;
  readonly isProcess: boolean;
}[] = [
  { name: "a pod as most are", isProcess: true },
  { name: "a handler with crun", handler: { binaryName: "/usr/bin/crun" }, isProcess: true },
  { name: "a handler with gVisor", handler: { binaryName: "runsc" }, isProcess: false },
  { name: "kata", handler: { type: "io.containerd.kata.v2" }, isProcess: false },
  { name: "a shim of another kind", handler: { shim: "/opt/shim" }, isProcess: false },
  { name: "systemd's cgroups", handler: { systemdCgroup: true }, isProcess: true },
  {
    name: "systemd's cgroups, and a path that a plugin has set",
    handler: { systemdCgroup: true },
    change: ({ linux }) => void (linux.cgroupsPath = "/pods/a"),
    isProcess: false,
  },
  {
    name: "a unit that a plugin has set, which the handler does not make",
    change: ({ linux }) => void (linux.cgroupsPath = "a.slice:b:c"),
    isProcess: false,
  },
  { name: "a user namespace", config: userNamespace, isProcess: true },
  {
    name: "a user namespace, and a sysctl that its root alone may set",
    config: userNamespace,
    change: ({ linux }) => void (linux.sysctl = { "kernel.shmmax": "1" }),
    isProcess: false,
  },
  {
    name: "a user namespace that is to be made",
    change: ({ linux }) => void linux.namespaces.push({ type: "user" }),
    isProcess: false,
  },
  {
    name: "a hook that a plugin added",
    change: (spec) => void (spec.hooks = { poststop: [{ path: "/bin/true" }] }),
    isProcess: false,
  },
  {
    name: "limits of a base spec",
    change: ({ process }) => {
      process.rlimits = [{ type: "RLIMIT_NOFILE", hard: 10, soft: 10 }];
    },
    isProcess: false,
  },
  {
    name: "a memory limit",
    change: ({ linux }) => void (linux.resources.memory = { limit: 2 ** 20 }),
    isProcess: false,
  },
  {
    name: "a mount that a plugin added",
    change: ({ mounts }) => void mounts.push({ destination: "/data", source: "/", type: "bind" }),
    isProcess: false,
  },
];

for (const { name, handler, config, change, isProcess } of cases) {
  test(`${name}: the sandbox is ${isProcess ? "a process" : "in a shim"}`, async () => {
    const used = { name: "h", config: { ...defaultHandler, ...handler } };
    const input = sandboxInput({
      handler: used.config,
      features: allFeatures,
      ...(config && { config }),
    });
    const spec = await buildSandboxSpec(input, testServices);
    change?.(spec);
    const runtime = isProcess ? "io.berth.sandbox.v1" : used.config.type;
    assert.equal(sandboxRuntime({ sandbox: "process" }, used, spec), runtime);
    assert.equal(sandboxRuntime({ sandbox: "shim" }, used, spec), used.config.type);
  });
}
