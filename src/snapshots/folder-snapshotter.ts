// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { nowNanos } from "../base/now.ts";
import { onDisk } from "../base/on-disk.ts";
import type { IdMappings } from "../base/os/id-mapping.ts";
import { unlessAborted } from "../base/waits.ts";
import type { TypesMount } from "../gen/types.gen.ts";
import type { MetadataStore, RecordTable } from "../metadata/ports.ts";
import type { RemovesTrees, TreeWork } from "../trees/ports.ts";
import { copiedOwnersLabel, mappingsOf } from "./mapping-labels.ts";
import type {
  CommitOptions,
  PrepareOptions,
  SnapshotInfo,
  SnapshotKind,
  Snapshotter,
  SnapshotUsage,
  UsageCall,
} from "./ports.ts";
import { SnapshotFolders } from "./snapshot-folders.ts";
import { type SnapshotRecord, snapshotsTable } from "./snapshot-record.ts";

const blockBytes = 512n;

export interface FolderSnapshotterOptions {
  /** Folder of `snapshots/<number>/`; made when missing. */
  readonly root: string;
  readonly metadata: MetadataStore;
  readonly trees: SnapshotTrees;
  readonly log: Logger;
}

/** Removes snapshots, whose files tenants and images have made. */
export interface SnapshotTrees {
  readonly remover: RemovesTrees;
  /** Measures them. */
  readonly work: TreeWork;
}

/** What differs between the kinds of snapshotters. */
export interface SnapshotLayout {
  readonly name: string;
  readonly whiteouts: Snapshotter["whiteouts"];
  /** True when a snapshot's folder holds its parents' files too. */
  readonly isWhole: boolean;
  /** Shows files with the owners that they have in a user namespace; left out where that is impossible. */
  readonly owners?: OwnerMapping;
  mounts(place: SnapshotPlace): TypesMount[];
  /** Copies folders into a new snapshot's, later ones over earlier ones; only where it is whole. */
  readonly fill?: (folder: string, sources: readonly string[], call: Cancellable) => Promise<void>;
}

export interface OwnerMapping {
  /** Whether mounts can show other owners than the disk has. */
  canMap(): Promise<boolean>;
  /** Gives the parents' files, in the mounts of a fresh snapshot, to the mapped owners. */
  copy(mounts: readonly TypesMount[], mappings: IdMappings, call: Cancellable): Promise<void>;
}

export interface SnapshotPlace {
  readonly kind: SnapshotKind;
  /** Folder of all snapshots. */
  readonly base: string;
  /** The snapshot's folder, which has `fs` in it, and `work` for an active one. */
  readonly own: string;
  /** The parents' file folders, top first. */
  readonly lowers: readonly string[];
  /** How owners are to be mapped; undefined for files as they are. */
  readonly mappings: IdMappings | undefined;
}

/**
 * A folder is made before its record and removed after it, so that a crash leaves at most a folder
 * without record. Between the check and the durable record, names are held in `#busy`, and parents
 * counted in `#expecting`; only calls about the same snapshot wait for one another.
 */
export class FolderSnapshotter implements Snapshotter {
  readonly name: string;
  readonly whiteouts: Snapshotter["whiteouts"];
  readonly root: string;
  readonly #layout: SnapshotLayout;
  readonly #folders: SnapshotFolders;
  readonly #metadata: MetadataStore;
  readonly #table: RecordTable<SnapshotRecord>;
  readonly #trees: SnapshotTrees;
  readonly #log: Logger;
  /** Keys and names that a running call is making or removing, and when it will have ended. */
  readonly #busy = new Map<string, Promise<void>>();
  /** Parents of snapshots that are being made. */
  readonly #expecting = new Map<string, number>();

  constructor({ root, metadata, trees, log }: FolderSnapshotterOptions, layout: SnapshotLayout) {
    this.name = layout.name;
    this.whiteouts = layout.whiteouts;
    this.root = root;
    this.#layout = layout;
    this.#folders = new SnapshotFolders(root, trees.remover);
    this.#trees = trees;
    this.#metadata = metadata;
    this.#table = snapshotsTable(metadata, layout.name);
    this.#log = log;
  }

  async recover(): Promise<void> {
    const known = new Set(this.#table.entries().map(({ record }) => record.number));
    const orphans = await this.#folders.recover(known);
    if (orphans.length > 0) this.#log.info({ orphans }, "removing snapshot folders without record");
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
    return this.#create(namespace, { kind: "ACTIVE", name: key, parent }, options);
  }

  view(
    namespace: string,
    key: string,
    parent: string,
    options: PrepareOptions & Cancellable,
  ): Promise<TypesMount[]> {
    return this.#create(namespace, { kind: "VIEW", name: key, parent }, options);
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
    const { number, before } = await this.#commit(namespace, name, key, options);
    await this.#folders.seal(number);
    if (before !== number) await this.#folders.remove(before);
  }

  async remove(namespace: string, key: string, call: Cancellable): Promise<void> {
    await this.#folders.remove(await this.#forget(namespace, key, call));
  }

  async update(
    namespace: string,
    key: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<SnapshotInfo> {
    using _key = await this.#claim(namespace, [key], {});
    const record = this.#get(namespace, key);
    const info = { ...record.info, labels: { ...labels }, updatedAtNanos: nowNanos() };
    await this.#table.put(namespace, key, { ...record, info });
    return info;
  }

  async usage(namespace: string, key: string, call: UsageCall): Promise<SnapshotUsage> {
    const record = this.#get(namespace, key);
    return record.usage ?? this.#measure(record.number, call);
  }

  directories(namespace: string, key: string): readonly string[] {
    if (key === "") return [];
    const { info, number } = this.#get(namespace, key);
    const own = info.kind === "VIEW" ? [] : [this.#folders.files(number)];
    const all = [...own, ...this.#lowers(namespace, info.parent)];
    return this.#layout.isWhole ? all.slice(0, 1) : all;
  }

  cleanup(call: Cancellable): Promise<void> {
    return this.#folders.cleanup(call);
  }

  async #create(
    namespace: string,
    { kind, name: key, parent }: Pick<SnapshotInfo, "kind" | "name" | "parent">,
    { labels, signal }: PrepareOptions & Cancellable,
  ): Promise<TypesMount[]> {
    signal.throwIfAborted();
    if (key === "") throw fault("INVALID_ARGUMENT", "a snapshot needs a key");
    using _key = await this.#claim(namespace, [key], { signal });
    this.#assertFree(namespace, key);
    using _parent = await this.#expect(namespace, parent, { signal });
    const lowers = this.#lowers(namespace, parent);
    const mappings = this.#mappings(labels ?? {});
    const { owners } = this.#layout;
    const isCopied = mappings && lowers.length > 0 && (await owners?.canMap()) === false;
    const number = await onDisk(`make snapshot "${key}"`, this.#folders.base, () =>
      this.#folders.create(kind, lowers[0], mappings),
    );
    const now = nowNanos();
    const info: SnapshotInfo = {
      name: key,
      parent,
      kind,
      createdAtNanos: now,
      updatedAtNanos: now,
      labels: { ...labels, ...(isCopied && { [copiedOwnersLabel]: "true" }) },
    };
    const record: SnapshotRecord = { info, number, usage: undefined };
    try {
      if (kind === "ACTIVE") {
        await this.#layout.fill?.(this.#folders.files(number), lowers.slice(0, 1), { signal });
      }
      const mounts = this.#mountsOf(namespace, record);
      if (isCopied && kind === "ACTIVE") await owners?.copy(mounts, mappings, { signal });
      signal.throwIfAborted();
      await this.#table.put(namespace, key, record);
      return mounts;
    } catch (error) {
      await this.#folders.remove(number);
      throw error;
    }
  }

  async #measure(number: number, { longestMs, signal }: UsageCall): Promise<SnapshotUsage> {
    const folder = this.#folders.files(number);
    const request = { folder, ...(longestMs !== undefined && { longestMs }) };
    const { blocks, inodes, isWhole } = await this.#trees.work.run("measure", request, { signal });
    const sizeBytes = BigInt(blocks) * blockBytes;
    return { sizeBytes, inodes: BigInt(inodes), ...(!isWhole && { isPartial: true }) };
  }

  #mountsOf(namespace: string, { info, number }: SnapshotRecord): TypesMount[] {
    return this.#layout.mounts({
      kind: info.kind,
      base: this.#folders.base,
      own: this.#folders.own(number),
      lowers: this.#lowers(namespace, info.parent),
      mappings: this.#mappings(info.labels),
    });
  }

  /**
   * No mappings where they cannot be shown: a client that finds no "remap-ids" among the capabilities has changed the
   * owners in the parent itself, and labels the snapshot all the same.
   */
  #mappings(labels: Readonly<Record<string, string>>): IdMappings | undefined {
    return this.#layout.owners ? mappingsOf(labels) : undefined;
  }

  /** Makes the committed record. Answers the number of its folder, and the record that it replaces. */
  async #commit(
    namespace: string,
    name: string,
    key: string,
    options: CommitOptions & Cancellable,
  ): Promise<{ readonly number: number; readonly before: number }> {
    using _claim = await this.#claim(namespace, [key, name], options);
    const record = this.#get(namespace, key);
    if (record.info.kind !== "ACTIVE") {
      throw fault("FAILED_PRECONDITION", `cannot commit snapshot "${key}": it is not active`);
    }
    const parent = this.#parentAtCommit(namespace, record.info, options.parent);
    this.#assertFree(namespace, name);
    using _parent = await this.#expect(namespace, parent, options);
    const number = await this.#moved(namespace, record, parent, options);
    const usage =
      (number === record.number ? options.usage : undefined) ??
      (await this.#measure(number, options));
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
      tx.put(this.#table, namespace, name, { info, number, usage });
    });
    return { number, before: record.number };
  }

  /** Deletes the record; answers the folder that is left. */
  async #forget(namespace: string, key: string, call: Cancellable): Promise<number> {
    using _key = await this.#claim(namespace, [key], call);
    const { number } = this.#get(namespace, key);
    if (this.#hasChildren(namespace, key)) {
      throw fault("FAILED_PRECONDITION", `cannot remove snapshot "${key}": it has children`);
    }
    await this.#table.delete(namespace, key);
    return number;
  }

  /** The folder that is committed: another one where the parent was given last and its files are copied. */
  async #moved(
    namespace: string,
    { info, number }: SnapshotRecord,
    parent: string,
    call: Cancellable,
  ): Promise<number> {
    const { fill } = this.#layout;
    if (parent === info.parent || fill === undefined) return number;
    const [below] = this.#lowers(namespace, parent);
    const merged = await this.#folders.create("ACTIVE", below);
    try {
      const sources = [...(below === undefined ? [] : [below]), this.#folders.files(number)];
      await fill(this.#folders.files(merged), sources, call);
      return merged;
    } catch (error) {
      await this.#folders.remove(merged);
      throw error;
    }
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

  /**
   * Holds keys and names while a call makes or removes them. A second call waits for the first: until its record
   * stands, neither "exists" nor "not found" would be true.
   */
  async #claim(
    namespace: string,
    keys: readonly string[],
    { signal }: Partial<Cancellable>,
  ): Promise<Disposable> {
    const ids = keys.map((key) => `${namespace}\0${key}`);
    for (;;) {
      signal?.throwIfAborted();
      const others = ids.map((id) => this.#busy.get(id)).find((other) => other !== undefined);
      if (others === undefined) break;
      await unlessAborted(others, signal);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const id of ids) this.#busy.set(id, promise);
    return {
      [Symbol.dispose]: () => {
        for (const id of ids) this.#busy.delete(id);
        resolve();
      },
    };
  }

  /**
   * Checks the parent and keeps it from being removed until the child's record stands. Waits while another call works
   * on the parent. No call on a parent whose record stands waits for another, so no two wait for each other.
   */
  async #expect(namespace: string, parent: string, { signal }: Cancellable): Promise<Disposable> {
    if (parent === "") return { [Symbol.dispose]: () => {} };
    const id = `${namespace}\0${parent}`;
    for (;;) {
      const { info } = this.#get(namespace, parent);
      if (info.kind !== "COMMITTED") {
        throw fault("FAILED_PRECONDITION", `parent snapshot "${parent}" is not committed`);
      }
      const other = this.#busy.get(id);
      if (other === undefined) break;
      await unlessAborted(other, signal);
    }
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
