// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { checkIdentifier } from "../base/identifier.ts";
import { KeyedMutex } from "../base/keyed-mutex.ts";
import type { EventExchange } from "../events/ports.ts";
import type { MetadataStore, RecordTable } from "../metadata/ports.ts";
import { type NamespaceRecord, namespacesTable } from "../metadata/records.ts";
import { packAny } from "../rpc/codec.ts";
import { checkLabels, checkMask, maskedMap } from "../rpc/field-mask.ts";
import type { ServiceImpl } from "../rpc/service.ts";

type Service = "containerd.services.namespaces.v1.Namespaces";

/** Something that keeps objects by namespace, so that a namespace with any of them is not empty. */
export interface NamespaceUser {
  /** Plural, for the message: `containers`. */
  readonly kind: string;
  /** The namespaces it has objects in. From memory. */
  namespaces(): Iterable<string>;
}

export interface NamespacesServiceOptions {
  readonly metadata: MetadataStore;
  readonly events: EventExchange;
  readonly users: readonly NamespaceUser[];
}

/** A table of records as a user of namespaces. */
export function tableUser(kind: string, table: RecordTable<unknown>): NamespaceUser {
  return { kind, namespaces: () => table.entries().map((entry) => entry.namespace) };
}

/** Namespaces: those made on purpose, and those that something lies in. */
export function createNamespacesService(options: NamespacesServiceOptions): ServiceImpl<Service> {
  const service = new NamespacesService(options);
  return {
    Get: async ({ name }) => ({ namespace: service.get(name) }),
    List: async () => ({ namespaces: service.list() }),
    Create: async ({ namespace }, call) => {
      if (!namespace) throw fault("INVALID_ARGUMENT", "namespace is missing");
      return { namespace: await service.create(namespace, call.signal) };
    },
    Update: async ({ namespace, updateMask }, call) => {
      if (!namespace) throw fault("INVALID_ARGUMENT", "namespace is missing");
      return { namespace: await service.update(namespace, updateMask?.paths ?? [], call.signal) };
    },
    Delete: async ({ name }, call) => {
      await service.delete(name, call.signal);
      return {};
    },
  };
}

class NamespacesService {
  readonly #table: RecordTable<NamespaceRecord>;
  readonly #events: EventExchange;
  readonly #users: readonly NamespaceUser[];
  readonly #mutex = new KeyedMutex();

  constructor({ metadata, events, users }: NamespacesServiceOptions) {
    this.#table = namespacesTable(metadata);
    this.#events = events;
    this.#users = users;
  }

  list(): NamespaceRecord[] {
    const found = new Map(this.#table.list("").map((record) => [record.name, record]));
    for (const user of this.#users) {
      for (const name of user.namespaces()) {
        if (name !== "" && !found.has(name)) found.set(name, { name, labels: {} });
      }
    }
    return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Every name is there, without labels before somebody sets some: clients ask for their namespace's
   * default snapshotter and runtime before they make the first thing in it.
   */
  get(name: string): NamespaceRecord {
    return this.#table.get("", name) ?? { name, labels: {} };
  }

  async create(wanted: NamespaceRecord, signal: AbortSignal): Promise<NamespaceRecord> {
    const { name } = wanted;
    checkIdentifier("namespace", name);
    const labels = withoutEmpty(wanted.labels);
    checkLabels(`namespace "${name}"`, labels);
    using _lock = await this.#mutex.lock(name, { signal });
    if (this.#table.has("", name)) {
      throw fault("ALREADY_EXISTS", `namespace "${name}" already exists`);
    }
    await this.#table.put("", name, { name, labels });
    this.#publish(
      name,
      "/namespaces/create",
      packAny("containerd.events.NamespaceCreate", { name, labels }),
    );
    return { name, labels };
  }

  async update(
    wanted: NamespaceRecord,
    paths: readonly string[],
    signal: AbortSignal,
  ): Promise<NamespaceRecord> {
    const { name } = wanted;
    checkIdentifier("namespace", name);
    checkMask(`namespace "${name}"`, paths, [], ["labels"]);
    using _lock = await this.#mutex.lock(name, { signal });
    const before = this.get(name).labels;
    const mask = paths.length === 0 ? ["labels"] : paths;
    const labels = withoutEmpty(maskedMap("labels", mask, before, wanted.labels) ?? before);
    checkLabels(`namespace "${name}"`, labels);
    await this.#table.put("", name, { name, labels });
    this.#publish(
      name,
      "/namespaces/update",
      packAny("containerd.events.NamespaceUpdate", { name, labels }),
    );
    return { name, labels };
  }

  async delete(name: string, signal: AbortSignal): Promise<void> {
    using _lock = await this.#mutex.lock(name, { signal });
    const kinds = this.#kindsIn(name);
    if (kinds.length === 0 && !this.#table.has("", name)) {
      throw fault("NOT_FOUND", `namespace "${name}" not found`);
    }
    if (kinds.length > 0) {
      const holds = kinds.join(", ");
      throw fault(
        "FAILED_PRECONDITION",
        `cannot delete namespace "${name}": it still has ${holds}`,
      );
    }
    await this.#table.delete("", name);
    this.#publish(
      name,
      "/namespaces/delete",
      packAny("containerd.events.NamespaceDelete", { name }),
    );
  }

  #kindsIn(name: string): string[] {
    return this.#users
      .filter((user) => Iterator.from(user.namespaces()).some((one) => one === name))
      .map((user) => user.kind);
  }

  #publish(namespace: string, topic: string, event: ReturnType<typeof packAny>): void {
    this.#events.publish(namespace, topic, event);
  }
}

/** Setting a label to nothing removes it: `ctr namespaces label NS key=` relies on that. */
function withoutEmpty(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));
}
