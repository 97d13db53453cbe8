// SPDX-License-Identifier: Apache-2.0
// What is seen, and told, before anything is changed.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import path from "node:path";
import { after, beforeEach, test } from "node:test";
import type { V1Node } from "@kubernetes/client-node";
import { removeFolderSync } from "../base/remove-folder.ts";
import type { NodeClient } from "../kube/api/node-client.ts";
import { type Looking, look } from "./look.ts";

const root = mkdtempSync(path.join(tmpdir(), "berth-look-"));
after(() => removeFolderSync(root));
const call = { signal: new AbortController().signal };
const ours = "/run/berthd/berthd.sock";
const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

let said: string[] = [];
beforeEach(() => {
  said = [];
  kubelet("containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n");
});

function kubelet(text: string): void {
  mkdirSync(path.join(root, "proc"), { recursive: true });
  mkdirSync(path.join(root, "var/lib/kubelet"), { recursive: true });
  writeFileSync(path.join(root, "var/lib/kubelet/config.yaml"), text);
}

function looking(more: Partial<Looking> & { readonly node?: string; nodeNow?: object } = {}) {
  const nodeInfo = { containerRuntimeVersion: "containerd://2", bootID: boot };
  const api = {
    node: () =>
      more.nodeNow === undefined
        ? Promise.resolve({ status: { nodeInfo } } as V1Node)
        : Promise.resolve(more.nodeNow),
    missingRights: () => Promise.resolve([]),
    podsOf: () => Promise.resolve([]),
  } as unknown as NodeClient;
  const known = new Set(["kubelet", "containerd"]);
  const nothing = (): Promise<undefined> => Promise.resolve(undefined);
  const given: Looking = {
    node: "n",
    root,
    ourEndpoint: ours,
    oldService: undefined,
    flags: { force: false, deleteEmptydirData: false, noDrain: false, drainMs: 1 },
    ask: (_what, question) => question(api),
    services: {
      spoken: (words) => words.join(" "),
      isActive: () => Promise.resolve(false),
      exists: (name) => Promise.resolve(known.has(name)),
      change: () => assert.fail("nothing is changed"),
    },
    whyNotReady: nothing,
    whyNoAnswer: nothing,
    cgroupDriverOf: () => Promise.resolve("cgroupfs"),
    say: (line) => void said.push(line),
    ...more,
  };
  return look(given, call);
}

test("a node that can be moved is found with its service, and nothing is noted", async () => {
  const found = await looking();
  assert.deepEqual([found?.oldService, found?.oldRuntime], ["containerd", "containerd://2"]);
  assert.equal(Object.hasOwn(found ?? {}, "cgroupDriver"), false);
  assert.deepEqual(said, []);
});

test("a runtime that does not answer", async () => {
  await assert.rejects(
    looking({ whyNoAnswer: () => Promise.resolve("nobody is there") }),
    /does not answer on \/run\/containerd\/containerd\.sock: nobody is there\nits pods could not be removed/,
  );
});

test("a unit that does not exist, and one of which that cannot be known", async () => {
  await assert.rejects(
    looking({ oldService: "rocket" }),
    /there is no unit rocket\.service on this machine: --runtime-service names that of the other/,
  );
  const services = {
    spoken: () => "",
    isActive: () => Promise.resolve(false),
    exists: () => Promise.resolve(undefined),
    change: () => Promise.resolve(),
  };
  await looking({ services });
  assert.deepEqual(said, [
    "note: whether there is a service kubelet cannot be known here",
    "note: whether there is a service containerd cannot be known here",
  ]);
});

test("an endpoint that no known runtime has is told", async () => {
  kubelet("containerRuntimeEndpoint: unix:///run/rocket.sock\n");
  assert.equal((await looking())?.oldService, undefined);
  assert.deepEqual(said, [
    "note: no known runtime has the socket /run/rocket.sock: it is left running (--runtime-service names its service)",
  ]);
  assert.equal((await looking({ oldService: "containerd" }))?.oldService, "containerd");
});

test("another cgroup driver than the kubelet's", async () => {
  await assert.rejects(
    looking({ cgroupDriverOf: () => Promise.resolve("systemd") }),
    /the kubelet is set to the cgroup driver cgroupfs, and berthd to systemd/,
  );
  kubelet("cgroupDriver: systemd\n");
  assert.ok(await looking({ cgroupDriverOf: () => Promise.resolve("systemd") }));
});

test("another machine, by its address or by its boot, and no node at all", async () => {
  const [own = ""] = Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).map(({ address }) => address),
  );
  const nodeNow = (address: string, bootID: string, more: object = {}): object => ({
    status: { nodeInfo: { bootID, ...more }, addresses: [{ type: "InternalIP", address }] },
  });
  await assert.rejects(
    looking({ nodeNow: nodeNow("192.0.2.1", boot) }),
    /n is not this machine \(its address is 192\.0\.2\.1\)/,
  );
  await assert.rejects(
    looking({ nodeNow: nodeNow(own, "other") }),
    /n is not this machine \(its boot id is other, and this machine's /,
  );
  // Behind a cloud's NAT the address is on no interface: then both ids tell, and the kubelet's own name.
  const behind = (machineID: string, bootID = boot): Partial<Looking> & { nodeNow: object } => ({
    nodeNow: nodeNow("192.0.2.1", bootID, { machineID, containerRuntimeVersion: "containerd://2" }),
  });
  mkdirSync(path.join(root, "etc"), { recursive: true });
  writeFileSync(path.join(root, "etc/machine-id"), "5ca1ab1e\n");
  assert.ok(await looking(behind("5ca1ab1e")));
  await assert.rejects(
    looking(behind("c0ffee")),
    /its address is 192\.0\.2\.1, and its machine id c0ffee, this machine's 5ca1ab1e/,
  );
  await assert.rejects(looking(behind("5ca1ab1e", "other")), /and its boot id other/);
  await assert.rejects(looking(behind("5ca1ab1e", "")), /its address is 192\.0\.2\.1\)/);
  const flags = path.join(root, "var/lib/kubelet/kubeadm-flags.env");
  writeFileSync(flags, 'KUBELET_KUBEADM_ARGS="--hostname-override=m"\n');
  await assert.rejects(looking(behind("5ca1ab1e")), /and the kubelet here is m\)/);
  writeFileSync(flags, 'KUBELET_KUBEADM_ARGS="--hostname-override=n"\n');
  assert.ok(await looking(behind("5ca1ab1e")));
  removeFolderSync(flags);
  await assert.rejects(
    looking({ ask: () => Promise.reject(Object.assign(new Error("x"), { code: 404 })) }),
    /there is no node "n"/,
  );
});
