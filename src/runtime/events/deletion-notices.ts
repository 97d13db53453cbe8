// SPDX-License-Identifier: Apache-2.0
import { within } from "../../base/waits.ts";
import { unpackAny } from "../../rpc/codec.ts";
import type { EventSink } from "../ports.ts";

/** What shims forward, told to a listener as well as to the sink. */
export interface ShimEventSource {
  onForward(listener: EventSink): Disposable;
}

/**
 * Watches for the delete events of tasks that are being deleted. A shim drops the events it has not
 * sent yet when it is shut down, and the one about its last task comes just then (seen with 2.3, one
 * time in twenty): so the shutdown waits for it.
 */
export class DeletionNotices implements Disposable {
  readonly #expected = new Map<string, PromiseWithResolvers<true>>();
  readonly #subscription: Disposable;

  constructor(source: ShimEventSource) {
    this.#subscription = source.onForward(({ namespace, topic, event }) => {
      if (topic !== "/tasks/delete") return;
      const deleted = unpackAny("containerd.events.TaskDelete", event);
      if (deleted === undefined) return;
      // An exec's deletion has that topic too, with the exec's id.
      if (deleted.id !== "" && deleted.id !== deleted.containerId) return;
      this.#expected.get(`${namespace}/${deleted.containerId}`)?.resolve(true);
    });
  }

  /** Call it before the deletion, or the event may be missed. */
  expect(key: string): void {
    this.#expected.set(key, Promise.withResolvers());
  }

  /** Whether the event came, waiting at most this long; true when none was expected. */
  async came(key: string, limitMs: number): Promise<boolean> {
    const expected = this.#expected.get(key);
    if (expected === undefined) return true;
    return (await within(expected.promise, limitMs)) ?? false;
  }

  forget(key: string): void {
    this.#expected.delete(key);
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
