// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { codec } from "./codec.ts";
import { methodsOf } from "./service-methods.ts";

const methods = new Map(
  (["runtime.v1.RuntimeService", "runtime.v1.ImageService"] as const)
    .flatMap((service) => methodsOf(service))
    .map((method) => [method.name, method]),
);

/** Through the wire: bytes of the request, as a client of a later CRI would send them. */
const refusal = (name: string, request: object, extra: readonly number[] = []): string => {
  const method = methods.get(name)!;
  const bytes = method.request.encode(request);
  try {
    method.refuseUnknown(method.request.decode(Buffer.concat([bytes, Buffer.from(extra)])));
    return "";
  } catch (error) {
    return (error as Error).message;
  }
};

const pod = (securityContext: object) => ({ config: { linux: { securityContext } } });
const container = (securityContext: object) => ({
  config: { linux: { securityContext: { readonlyRootfs: true, ...securityContext } } },
});

const rows: readonly (readonly [method: string, request: object, refused: string])[] = [
  ["RunPodSandbox", pod({ namespaceOptions: { network: "NODE", pid: 2 } }), ""],
  [
    "RunPodSandbox",
    pod({ namespaceOptions: { ipc: 8 } }),
    "config.linux.security_context.namespace_options.ipc: 8 is no NamespaceMode that this version knows",
  ],
  [
    "RunPodSandbox",
    pod({ namespaceOptions: { usernsOptions: { mode: -1 } } }),
    "config.linux.security_context.namespace_options.userns_options.mode: -1 is no NamespaceMode that this version knows",
  ],
  [
    "CreateContainer",
    container({ seccomp: { profileType: 77 } }),
    "config.linux.security_context.seccomp.profile_type: 77 is no ProfileType that this version knows",
  ],
  [
    "CreateContainer",
    container({ cgroupMountMode: 3 }),
    "config.linux.security_context.cgroup_mount_mode: 3 is no CgroupMountMode that this version knows",
  ],
  [
    "CreateContainer",
    { config: {}, sandboxConfig: { portMappings: [{}, { protocol: 5 }] } },
    "sandbox_config.port_mappings[1].protocol: 5 is no Protocol that this version knows",
  ],
  [
    "PullImage",
    { sandboxConfig: { portMappings: [{ protocol: 5 }] } },
    "sandbox_config.port_mappings[0].protocol: 5 is no Protocol that this version knows",
  ],
  ["StopContainer", { containerId: "x" }, ""],
  ["Version", {}, ""],
];

for (const [name, request, refused] of rows) {
  test(`${name} ${refused === "" ? "with values that are known" : `refuses ${refused}`}`, () => {
    assert.equal(refusal(name, request), refused);
  });
}

test("fields of a later CRI are left out", () => {
  // Field 1000 with "later" in it, after a request, and in its config.
  const later = [0xc2, 0x3e, 5, ...Buffer.from("later")];
  const config = [0x0a, later.length, ...later];
  assert.equal(refusal("RunPodSandbox", {}, later), "");
  assert.equal(refusal("RunPodSandbox", {}, config), "");
  const decoded = codec("runtime.v1.RunPodSandboxRequest").decode(Buffer.from(config));
  assert.equal(decoded.config?.hostname, "");
});
