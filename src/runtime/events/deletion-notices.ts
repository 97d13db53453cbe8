// SPDX-License-Identifier: Apache-2.0
import { within } from "../../base/waits.ts";
import { unpackAny } from "../../rpc/codec.ts";
import type { EventSink } from "../ports.ts";

/** What shims forward, told to a listener as well as to the sink. */
export interface ShimEventSource {
  onForward(listener: EventSink): Disposable;
}

export interface DeletionNotice extends Disposable {
  /** Whether the event came, waiting at most this long. */
  came(limitMs: number): Promise<boolean>;
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

  /** Call it before the deletion, or the event may be missed. Disposing the notice stops the watch. */
  expect(task: { readonly namespace: string; readonly id: string }): DeletionNotice {
    const key = `${task.namespace}/${task.id}`;
    const event = Promise.withResolvers<true>();
    this.#expected.set(key, event);
    return {
      came: async (limitMs) => (await within(event.promise, limitMs)) ?? false,
      [Symbol.dispose]: () => {
        // A later task of that name may be on its way out as well.
        if (this.#expected.get(key) === event) this.#expected.delete(key);
      },
    };
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
