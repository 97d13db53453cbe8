// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../../base/logger.ts";
import { nowNanos } from "../../base/now.ts";
import { packAny } from "../../rpc/codec.ts";
import { timestampOf } from "../../rpc/timestamp.ts";
import type { EventSink, ProcessExit } from "../ports.ts";

interface TaskName {
  readonly namespace: string;
  readonly id: string;
}

/** Publishes what a dead shim can not, that its task has exited and is deleted, and all of a task without a shim. */
export class TaskEvents {
  readonly #sink: EventSink;
  readonly #log: Logger;

  constructor(sink: EventSink, log: Logger) {
    this.#sink = sink;
    this.#log = log;
  }

  created(task: TaskName, facts: { readonly bundle: string; readonly pid: number }): void {
    const event = packAny("containerd.events.TaskCreate", { containerId: task.id, ...facts });
    this.#publish(task.namespace, "/tasks/create", event);
  }

  started(task: TaskName, pid: number): void {
    const event = packAny("containerd.events.TaskStart", { containerId: task.id, pid });
    this.#publish(task.namespace, "/tasks/start", event);
  }

  exited(task: TaskName, exit: ProcessExit): void {
    const event = packAny("containerd.events.TaskExit", {
      containerId: task.id,
      id: task.id,
      pid: exit.pid,
      exitStatus: exit.exitStatus,
      exitedAt: timestampOf(exit.exitedAtNanos),
    });
    this.#publish(task.namespace, "/tasks/exit", event);
  }

  deleted(task: TaskName, exit: ProcessExit): void {
    const event = packAny("containerd.events.TaskDelete", {
      containerId: task.id,
      pid: exit.pid,
      exitStatus: exit.exitStatus,
      exitedAt: timestampOf(exit.exitedAtNanos),
    });
    this.#publish(task.namespace, "/tasks/delete", event);
  }

  #publish(namespace: string, topic: string, event: ReturnType<typeof packAny>): void {
    try {
      this.#sink({ timestampNanos: nowNanos(), namespace, topic, event });
    } catch (err) {
      this.#log.error({ err, topic }, "event was not published");
    }
  }
}
