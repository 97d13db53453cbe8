// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { within } from "../../base/waits.ts";
import { connectShim, type Shim, type ShimConnectRequest } from "./shim.ts";

const momentMs = 1_000;

/**
 * The live shims by address. Tasks whose `start` answered the same address share one Shim, also when
 * they arrive together.
 */
export class ShimPool {
  readonly #shims = new Map<string, Promise<Shim>>();
  readonly #onConnect: (shim: Shim) => void;

  /** `onConnect` is told of every new connection, once, before anybody uses it. */
  constructor(onConnect: (shim: Shim) => void) {
    this.#onConnect = onConnect;
  }

  /**
   * The shim at an address, connecting when there is none. An ending one is waited for, and connecting
   * is tried then: it fails with UNAVAILABLE, and the caller launches again.
   */
  async connect(request: ShimConnectRequest, call: Cancellable): Promise<Shim> {
    const { address } = request.bootstrap;
    const known = await this.#shims.get(address)?.catch(() => undefined);
    if (known?.isOpen === true) return known;
    if (known !== undefined) await known.gone;
    const raced = this.#shims.get(address);
    if (raced !== undefined) return raced;
    const connecting = connectShim(request, call);
    this.#shims.set(address, connecting);
    const forget = (): void => {
      if (this.#shims.get(address) === connecting) this.#shims.delete(address);
    };
    try {
      const shim = await connecting;
      // First: whoever ends a dead shim must be registered before we ask whether it is gone.
      this.#onConnect(shim);
      // Lasts as long as the shim; neither promise rejects.
      void shim.closed.then(() => shim.gone).then(forget);
      return shim;
    } catch (error) {
      forget();
      throw error;
    }
  }

  /** The processes of the shims that are connected, or will be in a moment. */
  async pids(): Promise<ReadonlySet<number>> {
    const shims = await Promise.allSettled(
      [...this.#shims.values()].map((shim) => within(shim, momentMs)),
    );
    return new Set(
      shims.flatMap((result) => (result.status === "fulfilled" ? (result.value?.pid ?? []) : [])),
    );
  }

  /** Drops all connections and leaves the shims running. */
  async disconnect(): Promise<void> {
    for (const result of await Promise.allSettled(this.#shims.values())) {
      if (result.status === "fulfilled") result.value.disconnect();
    }
  }
}
