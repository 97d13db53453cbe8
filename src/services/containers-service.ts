// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { compileFilters } from "../base/filter.ts";
import { KeyedMutex } from "../base/keyed-mutex.ts";
import { nowNanos } from "../base/now.ts";
import type { EventExchange } from "../events/ports.ts";
import type { ContainersContainer } from "../gen/containers.gen.ts";
import type { MetadataStore, RecordTable } from "../metadata/ports.ts";
import { containersTable, namespacesTable } from "../metadata/records.ts";
import { packAny } from "../rpc/codec.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext, ServiceImpl } from "../rpc/service.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import { checkContainer, containerField, updatedContainer } from "./container-record.ts";

type Service = "containerd.services.containers.v1.Containers";

export interface ContainersServicePorts {
  readonly metadata: MetadataStore;
  readonly events: EventExchange;
  /** True while a container has a task: then its record stays. From memory. */
  readonly hasTask: (namespace: string, id: string) => boolean;
}

/** The records of containers: metadata and spec, no process. Reads never wait. */
export function createContainersService({
  metadata,
  events,
  hasTask,
}: ContainersServicePorts): ServiceImpl<Service> {
  const containers = containersTable(metadata);
  const namespaces = namespacesTable(metadata);
  const mutex = new KeyedMutex();
  return {
    Get: async ({ id }, call) => ({
      container: requiredContainer(containers, requiredNamespace(call), id),
    }),
    List: async ({ filters }, call) => ({ containers: matching(containers, filters, call) }),
    ListStream: async function* ({ filters }, call) {
      for (const container of matching(containers, filters, call)) yield { container };
    },
    Create: async ({ container: wanted }, call) => {
      const namespace = requiredNamespace(call);
      if (!wanted) throw fault("INVALID_ARGUMENT", "container is missing");
      checkContainer(wanted);
      using _lock = await mutex.lock(`${namespace}/${wanted.id}`, call);
      if (containers.has(namespace, wanted.id)) {
        throw fault("ALREADY_EXISTS", `container "${wanted.id}" already exists`);
      }
      const now = timestampOf(nowNanos());
      const container = { ...wanted, createdAt: now, updatedAt: now };
      await metadata.transaction((tx) => {
        // A namespace comes into being with the first thing in it.
        if (!namespaces.has("", namespace)) {
          tx.put(namespaces, "", namespace, { name: namespace, labels: {} });
        }
        tx.put(containers, namespace, container.id, container);
      });
      const { id, image, runtime } = container;
      const event = packAny("containerd.events.ContainerCreate", { id, image, runtime });
      events.publish(namespace, "/containers/create", event);
      return { container };
    },
    Update: async ({ container: update, updateMask }, call) => {
      const namespace = requiredNamespace(call);
      if (!update?.id) throw fault("INVALID_ARGUMENT", "container id must not be empty");
      using _lock = await mutex.lock(`${namespace}/${update.id}`, call);
      const before = requiredContainer(containers, namespace, update.id);
      const now = timestampOf(nowNanos());
      const container = updatedContainer(before, update, updateMask?.paths ?? [], now);
      await containers.put(namespace, container.id, container);
      const { id, image, labels, snapshotKey } = container;
      const fields = { id, image, labels, snapshotKey };
      const event = packAny("containerd.events.ContainerUpdate", fields);
      events.publish(namespace, "/containers/update", event);
      return { container };
    },
    Delete: async ({ id }, call) => {
      const namespace = requiredNamespace(call);
      using _lock = await mutex.lock(`${namespace}/${id}`, call);
      requiredContainer(containers, namespace, id);
      if (hasTask(namespace, id)) {
        throw fault("FAILED_PRECONDITION", `cannot delete container "${id}": it has a task`);
      }
      await containers.delete(namespace, id);
      const event = packAny("containerd.events.ContainerDelete", { id });
      events.publish(namespace, "/containers/delete", event);
      return {};
    },
  };
}

type Containers = RecordTable<ContainersContainer>;

/** NOT_FOUND when the namespace has none of that id. */
function requiredContainer(
  containers: Containers,
  namespace: string,
  id: string,
): ContainersContainer {
  const container = containers.get(namespace, id);
  if (!container) throw fault("NOT_FOUND", `container "${id}" not found`);
  return container;
}

function matching(
  containers: Containers,
  filters: readonly string[],
  call: CallContext,
): readonly ContainersContainer[] {
  return containers.list(requiredNamespace(call)).filter(compileFilters(filters, containerField));
}
