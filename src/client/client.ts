// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { ContainersContainerInit } from "../gen/containers.gen.ts";
import type { ClientScope, ClientServices } from "./client-scope.ts";
import { RemoteContainer } from "./container.ts";
import type { Client, Container } from "./ports.ts";

export interface ClientOptions {
  readonly namespace: string;
  readonly services: ClientServices;
  /**
   * True when `services` call the implementation directly: then a Wait has reached the runtime when
   * the call returns, and needs no second call to make sure of it. Default false.
   */
  readonly inProcess?: boolean;
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
