// SPDX-License-Identifier: Apache-2.0
import { fault, isFault } from "../base/errors.ts";
import { compileFilters, labelField } from "../base/filter.ts";
import type { SnapshotsInfoInit } from "../gen/snapshots.gen.ts";
import type { TypesMount } from "../gen/types.gen.ts";
import { holdForCaller, holdFoundForCaller, releaseForCaller } from "../metadata/caller-lease.ts";
import { packAny } from "../rpc/codec.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext, ServiceImpl } from "../rpc/service.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import type { SnapshotInfo, Snapshotter } from "../snapshots/ports.ts";
import type { StoragePorts } from "./storage-ports.ts";
import { checkedLabels, updatedLabels } from "./updated-labels.ts";

export interface SnapshotsServicePorts extends StoragePorts {
  /** By name. */
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  /** Called when a snapshot of a namespace has been committed. */
  readonly onCommit?: (namespace: string) => Promise<void>;
}

/** How many entries one message of a list carries. */
const perMessage = 100;

/** With this label a client says which committed snapshot it is about to make. */
const targetLabel = "containerd.io/snapshot.ref";

/** containerd's Snapshots service over our snapshotters. */
export function createSnapshotsService(
  ports: SnapshotsServicePorts,
): ServiceImpl<"containerd.services.snapshots.v1.Snapshots"> {
  const { garbage, leases, events } = ports;
  const find = (name: string): Snapshotter => requiredSnapshotter(ports.snapshotters, name);
  return {
    Prepare: async (request, call) => {
      const namespace = requiredNamespace(call);
      const mounts = await create(ports, "prepare", request, call);
      const { key, parent, snapshotter } = request;
      const event = packAny("containerd.events.SnapshotPrepare", { key, parent, snapshotter });
      events.publish(namespace, "/snapshot/prepare", event);
      return { mounts };
    },
    View: async (request, call) => ({ mounts: await create(ports, "view", request, call) }),
    Mounts: async ({ snapshotter, key }, call) => ({
      mounts: find(snapshotter).mounts(requiredNamespace(call), key),
    }),
    Commit: async ({ snapshotter, name, key, parent, labels: given }, call) => {
      const namespace = requiredNamespace(call);
      const snapshots = find(snapshotter);
      if (name === "") throw fault("INVALID_ARGUMENT", "a committed snapshot needs a name");
      const labels = checkedLabels(`snapshot "${name}"`, given);
      {
        using _hold = await garbage.hold(namespace, call);
        const type = `snapshots/${snapshotter}`;
        await holdForCaller(leases, namespace, call, { type, id: name });
        const options = { labels, ...(parent !== "" && { parent }), signal: call.signal };
        await snapshots.commit(namespace, name, key, options);
      }
      const event = packAny("containerd.events.SnapshotCommit", { key, name, snapshotter });
      events.publish(namespace, "/snapshot/commit", event);
      await ports.onCommit?.(namespace);
      return {};
    },
    Remove: async ({ snapshotter, key }, call) => {
      const namespace = requiredNamespace(call);
      await find(snapshotter).remove(namespace, key, call);
      const resource = { type: `snapshots/${snapshotter}`, id: key };
      await releaseForCaller(leases, namespace, call, resource);
      garbage.schedule(namespace);
      const event = packAny("containerd.events.SnapshotRemove", { key, snapshotter });
      events.publish(namespace, "/snapshot/remove", event);
      return {};
    },
    Stat: async ({ snapshotter, key }, call) => {
      const namespace = requiredNamespace(call);
      const snapshots = find(snapshotter);
      // A client that unpacks skips a layer that it finds here, and builds on it next: until then
      // another client's deletion must not take it away.
      using _hold = await garbage.hold(namespace, call);
      const info = snapshots.stat(namespace, key);
      const resource = { type: `snapshots/${snapshotter}`, id: key };
      await holdFoundForCaller(leases, namespace, call, resource);
      return { info: infoMessage(info) };
    },
    Update: async ({ snapshotter, info, updateMask }, call) => {
      const namespace = requiredNamespace(call);
      const snapshots = find(snapshotter);
      if (!info) throw fault("INVALID_ARGUMENT", "snapshot info is missing");
      using _hold = await garbage.hold(namespace, call);
      const before = snapshots.stat(namespace, info.name).labels;
      const what = `snapshot "${info.name}"`;
      const labels = updatedLabels(what, updateMask?.paths ?? [], before, info.labels);
      return { info: infoMessage(await snapshots.update(namespace, info.name, labels)) };
    },
    List: async function* ({ snapshotter, filters }, call) {
      const found = find(snapshotter)
        .list(requiredNamespace(call))
        .filter(compileFilters(filters, snapshotField));
      for (let at = 0; at < found.length; at += perMessage) {
        yield { info: found.slice(at, at + perMessage).map(infoMessage) };
      }
    },
    Usage: async ({ snapshotter, key }, call) => {
      const usage = await find(snapshotter).usage(requiredNamespace(call), key, call);
      return { size: usage.sizeBytes, inodes: usage.inodes };
    },
    Cleanup: async ({ snapshotter }, call) => {
      await find(snapshotter).cleanup(call);
      return {};
    },
  };
}

interface NewSnapshot {
  readonly snapshotter: string;
  readonly key: string;
  readonly parent: string;
  readonly labels: Readonly<Record<string, string>>;
}

async function create(
  { snapshotters, garbage, leases }: SnapshotsServicePorts,
  verb: "prepare" | "view",
  { snapshotter, key, parent, labels: given }: NewSnapshot,
  call: CallContext,
): Promise<TypesMount[]> {
  const namespace = requiredNamespace(call);
  const snapshots = requiredSnapshotter(snapshotters, snapshotter);
  const labels = checkedLabels(`snapshot "${key}"`, given);
  const type = `snapshots/${snapshotter}`;
  using _hold = await garbage.hold(namespace, call);
  const target = labels[targetLabel];
  if (target !== undefined && isThere(snapshots, namespace, target)) {
    await holdForCaller(leases, namespace, call, { type, id: target });
    throw fault("ALREADY_EXISTS", `snapshot "${target}" exists, there is no need to make it`);
  }
  await holdForCaller(leases, namespace, call, { type, id: key });
  return await snapshots[verb](namespace, key, parent, { labels, signal: call.signal });
}

function isThere(snapshots: Snapshotter, namespace: string, name: string): boolean {
  try {
    return snapshots.stat(namespace, name).kind === "COMMITTED";
  } catch (error) {
    if (isFault(error, "NOT_FOUND")) return false;
    throw error;
  }
}

function requiredSnapshotter(
  snapshotters: ReadonlyMap<string, Snapshotter>,
  name: string,
): Snapshotter {
  if (name === "") throw fault("INVALID_ARGUMENT", "the request names no snapshotter");
  const found = snapshotters.get(name);
  if (!found) throw fault("INVALID_ARGUMENT", `there is no snapshotter "${name}"`);
  return found;
}

function infoMessage(info: SnapshotInfo): SnapshotsInfoInit {
  const { name, parent, kind, labels } = info;
  return {
    name,
    parent,
    kind,
    labels,
    createdAt: timestampOf(info.createdAtNanos),
    updatedAt: timestampOf(info.updatedAtNanos),
  };
}

function snapshotField(info: SnapshotInfo, path: readonly string[]): string | undefined {
  const [head] = path;
  if (head === "labels") return labelField(info.labels, path);
  if (path.length !== 1) return undefined;
  if (head === "name") return info.name;
  if (head === "parent") return info.parent === "" ? undefined : info.parent;
  return head === "kind" ? info.kind.toLowerCase() : undefined;
}
