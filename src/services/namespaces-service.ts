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

export interface NamespacesServicePorts {
  readonly metadata: MetadataStore;
  readonly events: EventExchange;
  readonly users: readonly NamespaceUser[];
}

/** A table of records as a user of namespaces. */
export function tableUser(kind: string, table: RecordTable<unknown>): NamespaceUser {
  return { kind, namespaces: () => table.entries().map((entry) => entry.namespace) };
}

/** Namespaces: those made on purpose, and those that something lies in. */
export function createNamespacesService({
  metadata,
  events,
  users,
}: NamespacesServicePorts): ServiceImpl<Service> {
  const table = namespacesTable(metadata);
  const mutex = new KeyedMutex();
  /**
   * Every name is there, without labels before somebody sets some: clients ask for their namespace's
   * default snapshotter and runtime before they make the first thing in it.
   */
  const get = (name: string): NamespaceRecord => table.get("", name) ?? { name, labels: {} };
  return {
    Get: async ({ name }) => ({ namespace: get(name) }),
    List: async () => ({ namespaces: allNamespaces(table, users) }),
    Create: async ({ namespace: wanted }, call) => {
      if (!wanted) throw fault("INVALID_ARGUMENT", "namespace is missing");
      const { name } = wanted;
      checkIdentifier("namespace", name);
      const labels = withoutEmpty(wanted.labels);
      checkLabels(`namespace "${name}"`, labels);
      using _lock = await mutex.lock(name, call);
      if (table.has("", name)) {
        throw fault("ALREADY_EXISTS", `namespace "${name}" already exists`);
      }
      await table.put("", name, { name, labels });
      const event = packAny("containerd.events.NamespaceCreate", { name, labels });
      events.publish(name, "/namespaces/create", event);
      return { namespace: { name, labels } };
    },
    Update: async ({ namespace: wanted, updateMask }, call) => {
      if (!wanted) throw fault("INVALID_ARGUMENT", "namespace is missing");
      const { name } = wanted;
      const paths = updateMask?.paths ?? [];
      checkIdentifier("namespace", name);
      checkMask(`namespace "${name}"`, paths, [], ["labels"]);
      using _lock = await mutex.lock(name, call);
      const before = get(name).labels;
      const mask = paths.length === 0 ? ["labels"] : paths;
      const labels = withoutEmpty(maskedMap("labels", mask, before, wanted.labels) ?? before);
      checkLabels(`namespace "${name}"`, labels);
      await table.put("", name, { name, labels });
      const event = packAny("containerd.events.NamespaceUpdate", { name, labels });
      events.publish(name, "/namespaces/update", event);
      return { namespace: { name, labels } };
    },
    Delete: async ({ name }, call) => {
      using _lock = await mutex.lock(name, call);
      const kinds = kindsIn(users, name);
      if (kinds.length === 0 && !table.has("", name)) {
        throw fault("NOT_FOUND", `namespace "${name}" not found`);
      }
      if (kinds.length > 0) {
        const holds = kinds.join(", ");
        throw fault(
          "FAILED_PRECONDITION",
          `cannot delete namespace "${name}": it still has ${holds}`,
        );
      }
      await table.delete("", name);
      const event = packAny("containerd.events.NamespaceDelete", { name });
      events.publish(name, "/namespaces/delete", event);
      return {};
    },
  };
}

/** Those with a record and those with objects, by name. */
function allNamespaces(
  table: RecordTable<NamespaceRecord>,
  users: readonly NamespaceUser[],
): NamespaceRecord[] {
  const found = new Map(table.list("").map((record) => [record.name, record]));
  for (const user of users) {
    for (const name of user.namespaces()) {
      if (name !== "" && !found.has(name)) found.set(name, { name, labels: {} });
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The kinds of objects that a namespace has. */
function kindsIn(users: readonly NamespaceUser[], name: string): string[] {
  return users
    .filter((user) => Iterator.from(user.namespaces()).some((one) => one === name))
    .map((user) => user.kind);
}

/** Setting a label to nothing removes it: `ctr namespaces label NS key=` relies on that. */
function withoutEmpty(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));
}
