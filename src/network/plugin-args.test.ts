// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { bandwidthOf, EGRESS_ANNOTATION, INGRESS_ANNOTATION, parseQuantity } from "./bandwidth.ts";
import { capabilityArgs, cniArgs, pluginInput } from "./plugin-args.ts";
import type { PodNetworkRequest } from "./ports.ts";

const plain: PodNetworkRequest = {
  sandboxId: "abc",
  netnsPath: "/run/ns",
  podName: "web",
  podNamespace: "shop",
  podUid: "u-1",
  annotations: {},
  portMappings: [],
  dns: { servers: [], searches: [], options: [] },
  cgroupPath: "",
};

test("cniArgs are what Kubernetes plugins know", () => {
  assert.equal(
    cniArgs(plain),
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u-1",
  );
  assert.throws(() => cniArgs({ ...plain, podName: "a;K8S_POD_NAMESPACE=kube-system" }), {
    code: "INVALID_ARGUMENT",
  });
});

const badMappings = [
  { hostPort: 70_000, containerPort: 80, hostIp: "", says: /70000 to 80: no port 70000/ },
  { hostPort: 80, containerPort: 0, hostIp: "", says: /80 to 0: no port 0/ },
  { hostPort: 80, containerPort: 80, hostIp: "nowhere", says: /host IP "nowhere" is no address/ },
  {
    hostPort: 80,
    containerPort: 80,
    hostIp: "",
    protocol: "7" as "tcp",
    says: /80: no protocol "7"/,
  },
];

for (const { says, ...mapping } of badMappings) {
  test(`capabilityArgs refuse a mapping as ${says}`, () => {
    const portMappings = [{ protocol: "tcp" as const, ...mapping }];
    assert.throws(() => capabilityArgs({ ...plain, portMappings }), {
      code: "INVALID_ARGUMENT",
      message: says,
    });
  });
}

test("capabilityArgs say only what was asked", () => {
  assert.deepEqual(capabilityArgs(plain), { "io.kubernetes.cri.pod-annotations": {} });
  const annotations = { [INGRESS_ANNOTATION]: "10M" };
  const full = capabilityArgs({
    ...plain,
    annotations,
    portMappings: [
      { protocol: "tcp", containerPort: 80, hostPort: 8080, hostIp: "127.0.0.1" },
      { protocol: "udp", containerPort: 53, hostPort: 0, hostIp: "" },
    ],
    dns: { servers: ["10.0.0.10"], searches: ["svc"], options: ["ndots:5"] },
    cgroupPath: "/kubepods/pod1",
  });
  assert.deepEqual(full, {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "127.0.0.1" }],
    bandwidth: { ingressRate: 10e6, ingressBurst: 2 ** 32 - 1, egressRate: 0, egressBurst: 0 },
    dns: { servers: ["10.0.0.10"], searches: ["svc"], options: ["ndots:5"] },
    cgroupPath: "/kubepods/pod1",
    "io.kubernetes.cri.pod-annotations": annotations,
  });
});

test("pluginInput adds what the plugin declares, the network's name and version, and the result before", () => {
  const raw = { type: "portmap", snat: true, capabilities: { portMappings: true, dns: true } };
  const plugin = { type: "portmap", capabilities: ["portMappings", "dns"], raw };
  const network = { name: "net", cniVersion: "1.0.0" };
  const args = { portMappings: [1], bandwidth: {} };
  assert.deepEqual(pluginInput(network, plugin, args, { ips: [] }), {
    ...raw,
    ...network,
    runtimeConfig: { portMappings: [1] },
    prevResult: { ips: [] },
  });
  assert.deepEqual(pluginInput(network, plugin, {}, undefined), { ...raw, ...network });
});

const quantities: readonly (readonly [string, number | undefined])[] = [
  ["10", 10],
  ["10M", 10e6],
  ["1.5k", 1500],
  ["2Mi", 2 * 2 ** 20],
  ["1e6", 1e6],
  ["1E3", 1e3],
  ["1E", 1e18],
  ["500m", 0.5],
  [".5G", 0.5e9],
  ["", undefined],
  ["M", undefined],
  ["10 M", undefined],
  ["10MB", undefined],
  ["1.2.3", undefined],
];

for (const [text, value] of quantities) {
  test(`parseQuantity: "${text}" is ${value}`, () => {
    assert.equal(parseQuantity(text), value);
  });
}

test("bandwidthOf reads the annotations and refuses what is no sensible rate", () => {
  assert.equal(bandwidthOf({}), undefined);
  assert.deepEqual(bandwidthOf({ [EGRESS_ANNOTATION]: "1G" }), {
    ingressRate: 0,
    ingressBurst: 0,
    egressRate: 1e9,
    egressBurst: 2 ** 32 - 1,
  });
  for (const text of ["fast", "999", "2P", "-5M"]) {
    assert.throws(() => bandwidthOf({ [INGRESS_ANNOTATION]: text }), {
      code: "INVALID_ARGUMENT",
      message: /ingress-bandwidth/,
    });
  }
});
