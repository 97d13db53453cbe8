// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { nowNanos } from "../base/now.ts";
import type { MetadataStore, RecordCodec, RecordTable } from "./ports.ts";
import { rememberNamespace } from "./records.ts";
import { StoredFields } from "./stored-fields.ts";

/** A root of garbage collection with an owner: what it holds stays until it is deleted or expires. */
export interface Lease {
  readonly id: string;
  readonly createdAtNanos: bigint;
  readonly labels: Readonly<Record<string, string>>;
}

/** A thing that a lease can hold: `content`, `ingests`, `images` or `snapshots/<snapshotter>`. */
export interface Resource {
  readonly type: string;
  readonly id: string;
}

interface Held extends Resource {
  readonly lease: string;
}

interface StoredLease {
  readonly id: string;
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
}

const leaseCodec: RecordCodec<Lease> = {
  version: 1,
  encode: ({ id, createdAtNanos, labels }): StoredLease => ({
    id,
    createdAt: String(createdAtNanos),
    labels,
  }),
  decode: (value) => {
    const stored = new StoredFields("lease", value);
    return {
      id: stored.text("id"),
      createdAtNanos: stored.decimal("createdAt"),
      labels: stored.textMap("labels"),
    };
  },
};

const heldCodec: RecordCodec<Held> = {
  version: 1,
  encode: (held) => held,
  decode: (value) => {
    const stored = new StoredFields("lease's resource", value);
    return { lease: stored.text("lease"), type: stored.text("type"), id: stored.text("id") };
  },
};

const expireLabel = "containerd.io/gc.expire";

/** The leases of all namespaces. Reads come from memory. */
export class Leases {
  readonly #metadata: MetadataStore;
  readonly #leases: RecordTable<Lease>;
  /** One row for each thing that a lease holds, so that holding one more rewrites nothing. */
  readonly #held: RecordTable<Held>;
  /** By namespace, refs of unfinished writes of leases that are gone. */
  readonly #loose = new Map<string, Set<string>>();

  constructor(metadata: MetadataStore) {
    this.#metadata = metadata;
    this.#leases = metadata.table("leases", leaseCodec);
    this.#held = metadata.table("lease-resources", heldCodec);
  }

  has(namespace: string, id: string): boolean {
    return this.#leases.has(namespace, id);
  }

  /** NOT_FOUND when there is none. */
  require(namespace: string, id: string): Lease {
    const lease = this.#leases.get(namespace, id);
    if (!lease) throw fault("NOT_FOUND", `lease "${id}" not found`);
    return lease;
  }

  list(namespace: string): readonly Lease[] {
    return this.#leases.list(namespace);
  }

  /** ALREADY_EXISTS for an id that is taken. */
  async create(
    namespace: string,
    id: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<Lease> {
    if (this.#leases.has(namespace, id)) throw fault("ALREADY_EXISTS", `lease "${id}" exists`);
    const lease = { id, createdAtNanos: nowNanos(), labels };
    await rememberNamespace(this.#metadata, namespace);
    await this.#leases.put(namespace, id, lease);
    return lease;
  }

  /** Lets go of everything it holds. NOT_FOUND when there is none. */
  async delete(namespace: string, id: string): Promise<void> {
    this.require(namespace, id);
    const resources = this.resources(namespace, id);
    await this.#metadata.transaction((tx) => {
      tx.delete(this.#leases, namespace, id);
      for (const held of resources) tx.delete(this.#held, namespace, keyOf(id, held));
    });
    const writes = resources.filter(({ type }) => type === "ingests").map((held) => held.id);
    if (writes.length > 0) this.addLoose(namespace, writes);
  }

  /** Notes refs of unfinished writes that no lease holds any more. */
  addLoose(namespace: string, refs: readonly string[]): void {
    this.#loose.set(namespace, new Set([...(this.#loose.get(namespace) ?? []), ...refs]));
  }

  /** Refs of unfinished writes whose leases have gone since this was asked for: their client goes on with none of them. */
  takeLoose(namespace: string): ReadonlySet<string> {
    const loose = this.#loose.get(namespace) ?? new Set();
    this.#loose.delete(namespace);
    return loose;
  }

  resources(namespace: string, id: string): readonly Resource[] {
    return this.#held.list(namespace).filter(({ lease }) => lease === id);
  }

  /** Makes the lease hold a thing; nothing happens when it does already. */
  async add(namespace: string, id: string, resource: Resource): Promise<void> {
    this.require(namespace, id);
    const key = keyOf(id, resource);
    if (this.#held.has(namespace, key)) return;
    const { type, id: held } = resource;
    await this.#held.put(namespace, key, { lease: id, type, id: held });
  }

  /** Nothing happens when the lease does not hold it. */
  async remove(namespace: string, id: string, resource: Resource): Promise<void> {
    this.require(namespace, id);
    await this.#held.delete(namespace, keyOf(id, resource));
  }
}

/** When the lease ends, in milliseconds since the epoch; undefined for one without end. */
export function expiryOf(lease: Lease): number | undefined {
  const text = lease.labels[expireLabel];
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

function keyOf(lease: string, { type, id }: Resource): string {
  return JSON.stringify([lease, type, id]);
}
