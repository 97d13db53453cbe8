// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { removeFolderSync } from "../base/remove-folder.ts";
import { Host } from "../doctor/host.ts";
import { isPodShim, kubeletRuns } from "./runtime-pods.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth-runtime-pods-"));
after(() => removeFolderSync(folder));

test("a kubelet is known by its name, or by what its program was told to be", async () => {
  const cases = [
    ["kubelet", ["/usr/bin/kubelet", "--config=x"], true],
    ["k3s-server", ["/usr/local/bin/k3s server"], true],
    ["k0s", ["/usr/local/bin/k0s", "worker", "--token-file=x"], true],
    ["k0s", ["k0s", "--debug", "controller", "--enable-worker"], true],
    ["k0s", ["k0s", "kubectl", "get", "nodes", "-w"], false],
    ["k3s", ["k3s", "kubectl", "logs", "server"], false],
    ["rke2", ["rke2", "etcd-snapshot", "ls"], false],
    ["bash", ["bash", "kubelet"], false],
  ] as const;
  for (const [at, [name, argv, isOne]] of cases.entries()) {
    const root = path.join(folder, String(at));
    mkdirSync(path.join(root, "proc/7"), { recursive: true });
    writeFileSync(path.join(root, "proc/7/comm"), `${name}\n`);
    writeFileSync(path.join(root, "proc/7/cmdline"), argv.map((word) => `${word}\0`).join(""));
    assert.equal(await kubeletRuns(new Host(root)), isOne, argv.join(" "));
  }
});

test("only shims of pods are ended: Docker's containers are that containerd's, too", () => {
  const socket = "/run/containerd/containerd.sock";
  const shim = (namespace: string, address: string): string[] => [
    "containerd-shim-runc-v2",
    "-namespace",
    namespace,
    "-id",
    "x",
    "-address",
    address,
  ];
  assert.equal(isPodShim(shim("k8s.io", socket), socket), true);
  assert.equal(isPodShim(shim("moby", socket), socket), false);
  assert.equal(isPodShim(shim("k8s.io", "/run/other.sock"), socket), false);
});
