// SPDX-License-Identifier: Apache-2.0
// Against a scripted runtime: what is asked of it, and what becomes of pods that it does not let go.
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, beforeEach, test } from "node:test";
import { fault } from "../base/errors.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { GrpcServer } from "../rpc/grpc-server.ts";
import { removePods, runningContainers } from "./remove-pods.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth-remove-pods-"));
after(() => removeFolderSync(folder));
const socket = path.join(folder, "cri.sock");
const call = { signal: new AbortController().signal };
const times = { answerMs: 60_000, podMs: 60_000, againMs: 1 };

let did: string[] = [];
/** Pods, and how often each fails. */
let pods = new Map<string, { isHosts: boolean; failures: number; grace?: string }>();
let hangs = new Set<string>();
const released = Promise.withResolvers<void>();

const act = (what: string): Promise<void> => {
  did.push(what);
  const name = what.split(" ")[0] ?? "";
  return hangs.has(name) ? released.promise : Promise.resolve();
};

const server = new GrpcServer({ path: socket });
server.add("runtime.v1.RuntimeService", {
  ListPodSandbox: async () => {
    await act("list");
    return { items: [...pods.keys()].map((id) => ({ id })) };
  },
  PodSandboxStatus: async ({ podSandboxId }) => {
    const network = pods.get(podSandboxId)?.isHosts === true ? "NODE" : "POD";
    return { status: { linux: { namespaces: { options: { network } } } } };
  },
  ListContainers: async ({ filter }) => {
    assert.equal(filter?.state?.state, "CONTAINER_RUNNING");
    const ids = filter?.podSandboxId ? [filter.podSandboxId] : [...pods.keys()];
    const annotationsOf = (id: string): Record<string, string> => {
      const grace = pods.get(id)?.grace;
      return grace === undefined ? {} : { "io.kubernetes.pod.terminationGracePeriod": grace };
    };
    return { containers: ids.map((id) => ({ id: `of-${id}`, annotations: annotationsOf(id) })) };
  },
  StopContainer: async ({ containerId, timeout }) => {
    await act(`end ${containerId} ${timeout}`);
    return {};
  },
  StopPodSandbox: async ({ podSandboxId }) => {
    await act(`stop ${podSandboxId}`);
    const pod = pods.get(podSandboxId);
    if (pod !== undefined && pod.failures > 0) {
      pod.failures -= 1;
      throw fault("UNKNOWN", "its network does not go");
    }
    return {};
  },
  RemovePodSandbox: async ({ podSandboxId }) => {
    await act(`remove ${podSandboxId}`);
    pods.delete(podSandboxId);
    return {};
  },
});
await server.listen();
after(() => {
  released.resolve();
  return server[Symbol.asyncDispose]();
});

beforeEach(() => {
  did = [];
  pods = new Map();
  hangs = new Set();
});

const pod = (more: { isHosts?: boolean; failures?: number; grace?: string } = {}) => ({
  isHosts: false,
  failures: 0,
  ...more,
});

test("containers end with their pod's grace period, and those of the host's network last", async () => {
  pods.set("host", pod({ isHosts: true }));
  pods.set("web", pod({ grace: "7" }));
  pods.set("long", pod({ grace: "86400" }));
  assert.deepEqual(await removePods(socket, call, times), { removed: 3, left: [] });
  const ends = did.filter((one) => one.startsWith("end"));
  assert.deepEqual(ends.toSorted(), ["end of-host 30", "end of-long 120", "end of-web 7"]);
  assert.ok(did.indexOf("end of-host 30") > did.indexOf("remove web"), did.join());
  assert.ok(did.indexOf("end of-web 7") < did.indexOf("stop web"), did.join());
});

test("a pod that fails is tried again, and keeps no other one", async () => {
  pods.set("never", pod({ failures: 100 }));
  pods.set("later", pod({ failures: 2 }));
  pods.set("host", pod({ isHosts: true }));
  const removal = await removePods(socket, call, times);
  assert.equal(removal?.removed, 2);
  assert.match(removal?.left.join() ?? "", /^never: its network does not go$/);
  assert.deepEqual([...pods.keys()], ["never"]);
});

test("a runtime that hangs is as one that is gone", async () => {
  pods.set("web", pod());
  hangs.add("list");
  assert.equal(await removePods(socket, call, { ...times, answerMs: 100 }), undefined);
  assert.equal(await removePods(path.join(folder, "none.sock"), call, times), undefined);
  hangs = new Set(["stop"]);
  const removal = await removePods(socket, call, { ...times, podMs: 100 });
  assert.match(removal?.left.join() ?? "", /^web: removing pod web took longer/);
  assert.equal(did.filter((one) => one === "stop web").length, 1);
});

test("containers that run are counted, and there are none where nobody answers", async () => {
  pods.set("web", pod());
  assert.equal(await runningContainers(socket, call), 1);
  assert.equal(await runningContainers(path.join(folder, "none.sock"), call), 0);
});
