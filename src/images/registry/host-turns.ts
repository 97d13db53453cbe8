// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, RuntimeFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { mayBePlain } from "./connection-words.ts";
import { type HostFailures, pullFailure } from "./host-failures.ts";
import type { RegistryHost } from "./hosts.ts";
import { isUnreached } from "./http-client.ts";

interface Asked {
  readonly host: RegistryHost;
}

export interface HostTurnsOptions<S extends Asked> {
  /** In the order to ask. */
  readonly servers: readonly S[];
  /** The image's canonical name. */
  readonly image: string;
  readonly log: Logger;
}

const none: HostFailures = new Map();

/**
 * Asks one host after the other until one gives what is wanted. A host that could not be reached is asked last from
 * then on.
 */
export class HostTurns<S extends Asked> {
  readonly #options: HostTurnsOptions<S>;
  /** Bases of hosts that were asked over TLS and speak none. */
  readonly #withoutTls = new Set<string>();
  /** Hosts that could not be asked, or did not answer. */
  readonly #unreached = new Set<S>();

  constructor(options: HostTurnsOptions<S>) {
    this.#options = options;
  }

  /**
   * The answer of the first host that has one; what is thrown when none has tells what each said. Hosts of `failed`
   * are left out, and what they said before is told too.
   */
  async first<T>(
    isAble: (host: RegistryHost) => boolean,
    { signal }: Cancellable,
    ask: (server: S, isLast: boolean) => Promise<T>,
    failed: HostFailures = none,
  ): Promise<T> {
    const { servers, image, log } = this.#options;
    const able = servers.filter(({ host }) => isAble(host) && !failed.has(host));
    const order = able.toSorted((a, b) => this.#lateness(a) - this.#lateness(b));
    const failures = new Map(failed);
    for (const [at, server] of order.entries()) {
      const { host } = server;
      if (host.plainOf !== undefined && !this.#withoutTls.has(host.plainOf)) continue;
      try {
        return await ask(server, at === order.length - 1);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof RuntimeFault)) throw error;
        failures.set(host, error);
        if (mayBePlain(host, error)) this.#withoutTls.add(host.base);
        if (isUnreached(error) || isFault(error, "DEADLINE_EXCEEDED")) this.#unreached.add(server);
        log.debug({ host: host.base, err: error }, "registry host passed over");
      }
    }
    if (failures.size === 0) {
      throw fault("FAILED_PRECONDITION", `no host is configured for "${image}"`);
    }
    throw this.failure(failures);
  }

  /** One error for what these hosts said. */
  failure(failures: HostFailures): RuntimeFault {
    const { servers, image } = this.#options;
    return pullFailure(
      image,
      servers.map(({ host }) => host),
      failures,
    );
  }

  #lateness(server: S): number {
    return this.#unreached.has(server) ? 1 : 0;
  }
}
