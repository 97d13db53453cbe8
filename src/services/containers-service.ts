// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { compileFilters } from "../base/filter.ts";
import { KeyedMutex } from "../base/keyed-mutex.ts";
import { nowNanos } from "../base/now.ts";
import type { EventExchange } from "../events/ports.ts";
import type { ContainersContainer } from "../gen/containers.gen.ts";
import type { MetadataStore, RecordTable } from "../metadata/ports.ts";
import { containersTable, type NamespaceRecord, namespacesTable } from "../metadata/records.ts";
import { packAny } from "../rpc/codec.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext, ServiceImpl } from "../rpc/service.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import { checkContainer, containerField, updatedContainer } from "./container-record.ts";

type Service = "containerd.services.containers.v1.Containers";

export interface ContainersServiceOptions {
  readonly metadata: MetadataStore;
  readonly events: EventExchange;
  /** True while a container has a task: then its record stays. From memory. */
  readonly hasTask: (namespace: string, id: string) => boolean;
}

/** The records of containers: metadata and spec, no process. Reads never wait. */
export function createContainersService(options: ContainersServiceOptions): ServiceImpl<Service> {
  const service = new ContainersService(options);
  return {
    Get: async ({ id }, call) => ({ container: service.require(id, call) }),
    List: async ({ filters }, call) => ({ containers: service.list(filters, call) }),
    ListStream: async function* ({ filters }, call) {
      for (const container of service.list(filters, call)) yield { container };
    },
    Create: async ({ container }, call) => ({ container: await service.create(container, call) }),
    Update: async ({ container, updateMask }, call) => ({
      container: await service.update(container, updateMask?.paths ?? [], call),
    }),
    Delete: async ({ id }, call) => {
      await service.delete(id, call);
      return {};
    },
  };
}

class ContainersService {
  readonly #options: ContainersServiceOptions;
  readonly #containers: RecordTable<ContainersContainer>;
  readonly #namespaces: RecordTable<NamespaceRecord>;
  readonly #mutex = new KeyedMutex();

  constructor(options: ContainersServiceOptions) {
    this.#options = options;
    this.#containers = containersTable(options.metadata);
    this.#namespaces = namespacesTable(options.metadata);
  }

  require(id: string, call: CallContext): ContainersContainer {
    const container = this.#containers.get(requiredNamespace(call), id);
    if (!container) throw fault("NOT_FOUND", `container "${id}" not found`);
    return container;
  }

  list(filters: readonly string[], call: CallContext): readonly ContainersContainer[] {
    const namespace = requiredNamespace(call);
    return this.#containers.list(namespace).filter(compileFilters(filters, containerField));
  }

  async create(
    wanted: ContainersContainer | null,
    call: CallContext,
  ): Promise<ContainersContainer> {
    const namespace = requiredNamespace(call);
    if (!wanted) throw fault("INVALID_ARGUMENT", "container is missing");
    checkContainer(wanted);
    using _lock = await this.#mutex.lock(`${namespace}/${wanted.id}`, call);
    if (this.#containers.has(namespace, wanted.id)) {
      throw fault("ALREADY_EXISTS", `container "${wanted.id}" already exists`);
    }
    const now = timestampOf(nowNanos());
    const container = { ...wanted, createdAt: now, updatedAt: now };
    await this.#options.metadata.transaction((tx) => {
      // A namespace comes into being with the first thing in it.
      if (!this.#namespaces.has("", namespace)) {
        tx.put(this.#namespaces, "", namespace, { name: namespace, labels: {} });
      }
      tx.put(this.#containers, namespace, container.id, container);
    });
    const { id, image, runtime } = container;
    const event = packAny("containerd.events.ContainerCreate", { id, image, runtime });
    this.#options.events.publish(namespace, "/containers/create", event);
    return container;
  }

  async update(
    update: ContainersContainer | null,
    paths: readonly string[],
    call: CallContext,
  ): Promise<ContainersContainer> {
    const namespace = requiredNamespace(call);
    if (!update?.id) throw fault("INVALID_ARGUMENT", "container id must not be empty");
    using _lock = await this.#mutex.lock(`${namespace}/${update.id}`, call);
    const before = this.require(update.id, call);
    const container = updatedContainer(before, update, paths, timestampOf(nowNanos()));
    await this.#containers.put(namespace, container.id, container);
    const { id, image, labels, snapshotKey } = container;
    const event = packAny("containerd.events.ContainerUpdate", { id, image, labels, snapshotKey });
    this.#options.events.publish(namespace, "/containers/update", event);
    return container;
  }

  async delete(id: string, call: CallContext): Promise<void> {
    const namespace = requiredNamespace(call);
    using _lock = await this.#mutex.lock(`${namespace}/${id}`, call);
    this.require(id, call);
    if (this.#options.hasTask(namespace, id)) {
      throw fault("FAILED_PRECONDITION", `cannot delete container "${id}": it has a task`);
    }
    await this.#containers.delete(namespace, id);
    const event = packAny("containerd.events.ContainerDelete", { id });
    this.#options.events.publish(namespace, "/containers/delete", event);
  }
}
