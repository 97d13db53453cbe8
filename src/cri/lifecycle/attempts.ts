// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { SingleFlight } from "../../base/single-flight.ts";

/**
 * Attempts to make an object, at most one per name. A retry joins the attempt that runs, and gets its
 * result; the attempt outlives the request that began it, so a kubelet that gave up waiting finds the
 * finished object when it asks again.
 */
export class Attempts<Request> {
  readonly #flights: SingleFlight<string>;
  readonly #requests = new Map<string, Request>();

  constructor(lifetime: AbortSignal) {
    this.#flights = new SingleFlight({ lifetime });
  }

  /**
   * Answers the id that `attempt` makes. ALREADY_EXISTS when an attempt for another request runs
   * under the name.
   */
  async run(
    name: string,
    request: Request,
    attempt: (call: Cancellable) => Promise<string>,
    call: Cancellable,
  ): Promise<string> {
    const running = this.#requests.get(name);
    if (running !== undefined && !isDeepStrictEqual(running, request)) {
      throw fault("ALREADY_EXISTS", `name "${name}" is being made with another configuration`);
    }
    const owned = async (own: Cancellable): Promise<string> => {
      this.#requests.set(name, request);
      try {
        return await attempt(own);
      } finally {
        this.#requests.delete(name);
      }
    };
    return this.#flights.join(name, owned, call);
  }
}
