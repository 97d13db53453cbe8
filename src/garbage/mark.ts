// SPDX-License-Identifier: Apache-2.0

import { isDigest } from "../content/digest.ts";
import type { ContentStore } from "../content/ports.ts";
import type { ContainersContainer } from "../gen/containers.gen.ts";
import { expiryOf, type Leases, type Resource } from "../metadata/leases.ts";
import type { RecordTable } from "../metadata/ports.ts";
import { flatLabel, referencesOf, rootLabel } from "../metadata/references.ts";
import type { SnapshotInfo, Snapshotter } from "../snapshots/ports.ts";

/** What of an image's record leads to other things. */
export interface CollectedImage {
  readonly name: string;
  readonly target: { readonly digest: string };
  readonly labels: Readonly<Record<string, string>>;
}

/** Everything that a collection looks at. */
export interface GarbageStores {
  readonly content: ContentStore;
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  readonly leases: Leases;
  readonly images: Pick<RecordTable<CollectedImage>, "get" | "list">;
  readonly containers: RecordTable<ContainersContainer>;
}

/** The things that must stay. */
export class Marks {
  readonly #seen = new Set<string>();

  /** False when it was marked before. */
  add(resource: Resource): boolean {
    const key = keyOf(resource);
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  has(resource: Resource): boolean {
    return this.#seen.has(keyOf(resource));
  }
}

/**
 * Marks what the roots of a namespace lead to. Roots are images, containers, leases that have not
 * expired, objects labelled as such, and `extra`. All from memory, in one go.
 */
export function markReachable(
  stores: GarbageStores,
  namespace: string,
  extra: Iterable<Resource>,
  nowMs: number,
): Marks {
  const marks = new Marks();
  const snapshots = snapshotsByKey(stores, namespace);
  const pending: Resource[] = [];
  const reach = (resources: Iterable<Resource>): void => {
    for (const resource of resources) if (marks.add(resource)) pending.push(resource);
  };
  reach(rootsOf(stores, namespace, snapshots, nowMs));
  reach(extra);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    reach(referredBy(stores, namespace, snapshots, next));
  }
  // Last, since what they hold leads nowhere and must not hide a path that does.
  for (const lease of liveLeases(stores, namespace, nowMs)) {
    if (!(flatLabel in lease.labels)) continue;
    for (const held of stores.leases.resources(namespace, lease.id)) marks.add(held);
  }
  return marks;
}

function* rootsOf(
  { content, leases, images, containers, ...stores }: GarbageStores,
  namespace: string,
  snapshots: SnapshotsByKey,
  nowMs: number,
): Generator<Resource> {
  for (const lease of liveLeases({ leases, ...stores }, namespace, nowMs)) {
    if (!(flatLabel in lease.labels)) yield* leases.resources(namespace, lease.id);
  }
  for (const { name } of images.list(namespace)) yield { type: "images", id: name };
  for (const { snapshotter, snapshotKey, labels } of containers.list(namespace)) {
    if (snapshotKey !== "") yield { type: `snapshots/${snapshotter}`, id: snapshotKey };
    yield* referencesOf(labels);
  }
  for (const { digest, labels } of content.list(namespace)) {
    if (rootLabel in labels) yield { type: "content", id: digest };
  }
  for (const [name, infos] of snapshots) {
    for (const { name: id, labels } of infos.values()) {
      if (rootLabel in labels) yield { type: `snapshots/${name}`, id };
    }
  }
}

function* referredBy(
  { content, images }: GarbageStores,
  namespace: string,
  snapshots: SnapshotsByKey,
  { type, id }: Resource,
): Generator<Resource> {
  if (type === "content") {
    const info = isDigest(id) ? content.info(namespace, id) : undefined;
    if (info) yield* referencesOf(info.labels);
  } else if (type === "images") {
    const image = images.get(namespace, id);
    if (!image) return;
    yield { type: "content", id: image.target.digest };
    yield* referencesOf(image.labels);
  } else if (type.startsWith("snapshots/")) {
    const info = snapshots.get(type.slice("snapshots/".length))?.get(id);
    if (!info) return;
    if (info.parent !== "") yield { type, id: info.parent };
    yield* referencesOf(info.labels);
  }
}

type SnapshotsByKey = ReadonlyMap<string, ReadonlyMap<string, SnapshotInfo>>;

function snapshotsByKey({ snapshotters }: GarbageStores, namespace: string): SnapshotsByKey {
  const found = new Map<string, ReadonlyMap<string, SnapshotInfo>>();
  for (const [name, snapshotter] of snapshotters) {
    found.set(name, new Map(snapshotter.list(namespace).map((info) => [info.name, info])));
  }
  return found;
}

function liveLeases(
  { leases }: Pick<GarbageStores, "leases">,
  namespace: string,
  nowMs: number,
): ReturnType<Leases["list"]> {
  return leases.list(namespace).filter((lease) => (expiryOf(lease) ?? Infinity) > nowMs);
}

function keyOf({ type, id }: Resource): string {
  return `${type}\0${id}`;
}
