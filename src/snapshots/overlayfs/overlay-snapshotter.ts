// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { nowNanos } from "../../base/now.ts";
import type { TypesMount } from "../../gen/tasks.gen.ts";
import type { MetadataStore, RecordTable } from "../../metadata/ports.ts";
import { diskUsage } from "../disk-usage.ts";
import type {
  CommitOptions,
  PrepareOptions,
  SnapshotInfo,
  SnapshotKind,
  Snapshotter,
  SnapshotUsage,
} from "../ports.ts";
import { type SnapshotRecord, snapshotCodec } from "../snapshot-record.ts";
import { overlayMounts } from "./overlay-mounts.ts";
import { SnapshotFolders } from "./snapshot-folders.ts";

export interface OverlaySnapshotterOptions {
  /** Folder of `snapshots/<number>/`; made when missing. Must not contain ":" or ",". */
  readonly root: string;
  readonly metadata: MetadataStore;
  readonly log: Logger;
}

/** Opens the overlayfs snapshotter of a folder; folders that a crash left without record are removed. */
export async function createOverlaySnapshotter(
  options: OverlaySnapshotterOptions,
): Promise<Snapshotter> {
  if (/[:,\\]/.test(options.root)) {
    throw fault("INVALID_ARGUMENT", `overlayfs cannot use a folder named "${options.root}"`);
  }
  const snapshotter = new OverlaySnapshotter(options);
  await snapshotter.recover();
  return snapshotter;
}

/**
 * A folder is made before its record and removed after it, so that a crash leaves at most a folder
 * without record. Between the check and the durable record, names are held in `#busy`, and parents
 * counted in `#expecting`: no lock is held across the disk.
 */
class OverlaySnapshotter implements Snapshotter {
  readonly name = "overlayfs";
  readonly whiteouts = "overlay";
  readonly root: string;
  readonly #folders: SnapshotFolders;
  readonly #metadata: MetadataStore;
  readonly #table: RecordTable<SnapshotRecord>;
  readonly #log: Logger;
  readonly #indexOff = existsSync("/sys/module/overlay/parameters/index");
  /** Keys and names that a running call is making or removing. */
  readonly #busy = new Set<string>();
  /** Parents of snapshots that are being made. */
  readonly #expecting = new Map<string, number>();

  constructor({ root, metadata, log }: OverlaySnapshotterOptions) {
    this.root = root;
    this.#folders = new SnapshotFolders(root);
    this.#metadata = metadata;
    this.#table = metadata.table("snapshots-overlayfs", snapshotCodec);
    this.#log = log;
  }

  async recover(): Promise<void> {
    const known = new Set(this.#table.entries().map(({ record }) => record.number));
    const orphans = await this.#folders.recover(known);
    if (orphans.length > 0) this.#log.info({ orphans }, "removed snapshot folders without record");
  }

  stat(namespace: string, key: string): SnapshotInfo {
    return this.#get(namespace, key).info;
  }

  list(namespace: string): readonly SnapshotInfo[] {
    return this.#table.list(namespace).map(({ info }) => info);
  }

  prepare(
    namespace: string,
    key: string,
    parent: string,
    options: PrepareOptions & Cancellable,
  ): Promise<TypesMount[]> {
    return this.#create(namespace, "ACTIVE", key, parent, options);
  }

  view(
    namespace: string,
    key: string,
    parent: string,
    options: PrepareOptions & Cancellable,
  ): Promise<TypesMount[]> {
    return this.#create(namespace, "VIEW", key, parent, options);
  }

  mounts(namespace: string, key: string): TypesMount[] {
    const record = this.#get(namespace, key);
    if (record.info.kind === "COMMITTED") {
      throw fault("FAILED_PRECONDITION", `cannot mount snapshot "${key}": it is committed`);
    }
    return this.#mountsOf(namespace, record);
  }

  async commit(
    namespace: string,
    name: string,
    key: string,
    options: CommitOptions & Cancellable,
  ): Promise<void> {
    const record = this.#get(namespace, key);
    if (record.info.kind !== "ACTIVE") {
      throw fault("FAILED_PRECONDITION", `cannot commit snapshot "${key}": it is not active`);
    }
    const parent = this.#parentAtCommit(namespace, record.info, options.parent);
    using _key = this.#claim(namespace, key);
    using _name = this.#claim(namespace, name);
    this.#assertFree(namespace, name);
    using _parent = this.#expect(namespace, parent);
    const usage = options.usage ?? (await diskUsage(this.#folders.files(record.number), options));
    options.signal.throwIfAborted();
    const now = nowNanos();
    const info: SnapshotInfo = {
      name,
      parent,
      kind: "COMMITTED",
      createdAtNanos: now,
      updatedAtNanos: now,
      labels: { ...options.labels },
    };
    await this.#metadata.transaction((tx) => {
      tx.delete(this.#table, namespace, key);
      tx.put(this.#table, namespace, name, { info, number: record.number, usage });
    });
    await this.#folders.seal(record.number);
  }

  async remove(namespace: string, key: string, { signal }: Cancellable): Promise<void> {
    signal.throwIfAborted();
    const record = this.#get(namespace, key);
    if (this.#hasChildren(namespace, key)) {
      throw fault("FAILED_PRECONDITION", `cannot remove snapshot "${key}": it has children`);
    }
    using _key = this.#claim(namespace, key, "NOT_FOUND");
    await this.#table.delete(namespace, key);
    await this.#folders.remove(record.number);
  }

  async update(
    namespace: string,
    key: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<SnapshotInfo> {
    const record = this.#get(namespace, key);
    const info = { ...record.info, labels: { ...labels }, updatedAtNanos: nowNanos() };
    await this.#table.put(namespace, key, { ...record, info });
    return info;
  }

  async usage(namespace: string, key: string, call: Cancellable): Promise<SnapshotUsage> {
    const record = this.#get(namespace, key);
    return record.usage ?? diskUsage(this.#folders.files(record.number), call);
  }

  directories(namespace: string, key: string): readonly string[] {
    const record = this.#get(namespace, key);
    const own = record.info.kind === "VIEW" ? [] : [this.#folders.files(record.number)];
    return [...own, ...this.#lowers(namespace, record.info.parent)];
  }

  async #create(
    namespace: string,
    kind: SnapshotKind,
    key: string,
    parent: string,
    { labels, signal }: PrepareOptions & Cancellable,
  ): Promise<TypesMount[]> {
    signal.throwIfAborted();
    if (key === "") throw fault("INVALID_ARGUMENT", "a snapshot needs a key");
    using _key = this.#claim(namespace, key);
    this.#assertFree(namespace, key);
    using _parent = this.#expect(namespace, parent);
    const lowers = this.#lowers(namespace, parent);
    const number = await this.#folders.create(kind, lowers[0]);
    const now = nowNanos();
    const info: SnapshotInfo = {
      name: key,
      parent,
      kind,
      createdAtNanos: now,
      updatedAtNanos: now,
      labels: { ...labels },
    };
    const record: SnapshotRecord = { info, number, usage: undefined };
    try {
      const mounts = this.#mountsOf(namespace, record);
      signal.throwIfAborted();
      await this.#table.put(namespace, key, record);
      return mounts;
    } catch (error) {
      await this.#folders.remove(number);
      throw error;
    }
  }

  #mountsOf(namespace: string, { info, number }: SnapshotRecord): TypesMount[] {
    return overlayMounts({
      kind: info.kind,
      base: this.#folders.base,
      own: this.#folders.own(number),
      lowers: this.#lowers(namespace, info.parent),
      indexOff: this.#indexOff,
    });
  }

  #lowers(namespace: string, parent: string): string[] {
    const lowers: string[] = [];
    for (let name = parent; name !== ""; ) {
      const record = this.#get(namespace, name);
      lowers.push(this.#folders.files(record.number));
      name = record.info.parent;
    }
    return lowers;
  }

  #parentAtCommit(namespace: string, info: SnapshotInfo, wanted: string | undefined): string {
    if (wanted === undefined || wanted === info.parent) return info.parent;
    if (info.parent !== "") {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot commit snapshot "${info.name}" onto "${wanted}": its parent is "${info.parent}"`,
      );
    }
    this.#get(namespace, wanted);
    return wanted;
  }

  #get(namespace: string, key: string): SnapshotRecord {
    const record = this.#table.get(namespace, key);
    if (!record) throw fault("NOT_FOUND", `snapshot "${key}" not found`);
    return record;
  }

  #assertFree(namespace: string, key: string): void {
    if (this.#table.has(namespace, key)) {
      throw fault("ALREADY_EXISTS", `snapshot "${key}" exists`);
    }
  }

  #hasChildren(namespace: string, key: string): boolean {
    if (this.#expecting.has(`${namespace}\0${key}`)) return true;
    return this.#table.list(namespace).some(({ info }) => info.parent === key);
  }

  /** Holds a key or name while a call makes or removes it; who comes second gets the code `taken`. */
  #claim(
    namespace: string,
    key: string,
    taken: "ALREADY_EXISTS" | "NOT_FOUND" = "ALREADY_EXISTS",
  ): Disposable {
    const id = `${namespace}\0${key}`;
    if (this.#busy.has(id)) {
      throw fault(taken, `snapshot "${key}" is being changed by another call`);
    }
    this.#busy.add(id);
    return { [Symbol.dispose]: () => void this.#busy.delete(id) };
  }

  /** Checks the parent and keeps it from being removed until the child's record stands. */
  #expect(namespace: string, parent: string): Disposable {
    if (parent === "") return { [Symbol.dispose]: () => {} };
    const { info } = this.#get(namespace, parent);
    const id = `${namespace}\0${parent}`;
    if (info.kind !== "COMMITTED") {
      throw fault("FAILED_PRECONDITION", `parent snapshot "${parent}" is not committed`);
    }
    if (this.#busy.has(id)) throw fault("NOT_FOUND", `snapshot "${parent}" is being removed`);
    this.#expecting.set(id, (this.#expecting.get(id) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#expecting.get(id) ?? 1) - 1;
        if (left > 0) this.#expecting.set(id, left);
        else this.#expecting.delete(id);
      },
    };
  }
}
