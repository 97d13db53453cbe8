// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { nowNanos } from "../../base/now.ts";
import type { ContainerEventResponseInit, ContainerEventType } from "../../gen/cri.gen.ts";
import { toContainerStatuses } from "../convert/container-statuses.ts";
import { toPodSandboxStatus } from "../convert/sandbox.ts";
import type { ContainerEvent, RuntimeServiceHooks } from "../ports.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { EventStream } from "./event-stream.ts";

/** A step in a life, before it has its time. */
export type LifeEvent = Omit<ContainerEvent, "atNanos">;

type EventHooks = Pick<RuntimeServiceHooks, "onEvent" | "onEventDropped">;

const types: Readonly<Record<ContainerEvent["type"], ContainerEventType>> = {
  created: "CONTAINER_CREATED_EVENT",
  started: "CONTAINER_STARTED_EVENT",
  stopped: "CONTAINER_STOPPED_EVENT",
  deleted: "CONTAINER_DELETED_EVENT",
};

/** Where the states are taken from at the moment of the event. */
export interface PodLookup {
  sandbox(id: string): SandboxRecord | undefined;
  containers(sandboxId: string): readonly ContainerRecord[];
}

/**
 * The lives of sandboxes and containers as CRI's event stream. Times only ever grow: a kubelet takes
 * them for the age of what it has cached, so an event that seems older than the one before is lost.
 */
export class ContainerEvents {
  readonly #stream: EventStream<ContainerEventResponseInit>;
  readonly #lookup: PodLookup;
  readonly #hooks: EventHooks;
  #lastNanos = 0n;

  constructor(lookup: PodLookup, hooks: EventHooks) {
    this.#lookup = lookup;
    this.#hooks = hooks;
    this.#stream = new EventStream(() => hooks.onEventDropped?.());
  }

  /**
   * Reports a step to the readers, with the pod as it is now. `last` is the sandbox's record where it is
   * gone already: a kubelet ignores events without a pod.
   */
  publish(event: LifeEvent, last?: SandboxRecord): void {
    const atNanos = this.#tick();
    if (this.#stream.hasReaders) this.#stream.publish(this.#response(event, atNanos, last));
    this.#hooks.onEvent?.({ ...event, atNanos });
  }

  subscribe(call: Cancellable): AsyncIterable<ContainerEventResponseInit> {
    return this.#stream.subscribe(call);
  }

  close(): void {
    this.#stream.close();
  }

  #response(
    { type, containerId, sandboxId }: LifeEvent,
    atNanos: bigint,
    last: SandboxRecord | undefined,
  ): ContainerEventResponseInit {
    const sandbox = this.#lookup.sandbox(sandboxId) ?? last;
    return {
      containerId,
      containerEventType: types[type],
      createdAt: atNanos,
      podSandboxStatus: sandbox ? toPodSandboxStatus(sandbox) : null,
      containersStatuses: toContainerStatuses(this.#lookup.containers(sandboxId)),
    };
  }

  #tick(): bigint {
    const now = nowNanos();
    this.#lastNanos = now > this.#lastNanos ? now : this.#lastNanos + 1n;
    return this.#lastNanos;
  }
}
