// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { ContainersContainerInit } from "../gen/tasks.gen.ts";
import type { CallOptions, ServiceClient } from "../rpc/service.ts";
import { RemoteContainer } from "./container.ts";
import type { Client, Container } from "./ports.ts";

/** The services a client stands on, in process or over gRPC. */
export interface ClientServices {
  readonly containers: ServiceClient<"containerd.services.containers.v1.Containers">;
  readonly tasks: ServiceClient<"containerd.services.tasks.v1.Tasks">;
  /** Where a container's own snapshot becomes its task's root; needed only for such containers. */
  readonly snapshots?: ServiceClient<"containerd.services.snapshots.v1.Snapshots">;
}

export interface ClientOptions {
  readonly namespace: string;
  readonly services: ClientServices;
  /**
   * True when `services` call the implementation directly: then a Wait has reached the runtime when
   * the call returns, and needs no second call to make sure of it. Default false.
   */
  readonly inProcess?: boolean;
}

/** What containers, tasks and processes share of their client. */
export interface ClientScope {
  readonly namespace: string;
  readonly services: ClientServices;
  readonly inProcess: boolean;
  /** The call options of a request: its signal, and the client's namespace. */
  readonly on: (call: Cancellable) => CallOptions;
}

export function createClient(options: ClientOptions): Client {
  const { namespace, services } = options;
  const scope: ClientScope = {
    namespace,
    services,
    inProcess: options.inProcess ?? false,
    on: ({ signal }) => ({ signal, namespace }),
  };
  return new RemoteClient(scope);
}

class RemoteClient implements Client {
  readonly #scope: ClientScope;

  constructor(scope: ClientScope) {
    this.#scope = scope;
  }

  get namespace(): string {
    return this.#scope.namespace;
  }

  async newContainer(record: ContainersContainerInit, call: Cancellable): Promise<Container> {
    const { services, on } = this.#scope;
    const { container } = await services.containers.Create({ container: record }, on(call));
    if (!container)
      throw fault("INTERNAL", `container "${record.id}" was created without a record`);
    return new RemoteContainer(this.#scope, container);
  }

  async loadContainer(id: string, call: Cancellable): Promise<Container> {
    const { services, on } = this.#scope;
    const { container } = await services.containers.Get({ id }, on(call));
    if (!container) throw fault("NOT_FOUND", `container "${id}" not found`);
    return new RemoteContainer(this.#scope, container);
  }

  async containers(filters: readonly string[], call: Cancellable): Promise<Container[]> {
    const { services, on } = this.#scope;
    const found: Container[] = [];
    for await (const { container } of services.containers.ListStream({ filters }, on(call))) {
      if (container) found.push(new RemoteContainer(this.#scope, container));
    }
    return found;
  }
}
