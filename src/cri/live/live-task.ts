// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { Container, Task } from "../../client/ports.ts";

/** How the task of a container or sandbox ends. Neither rejects. */
export interface Ending {
  /** Settles when the exit is recorded, or cannot be. */
  readonly recorded: Promise<void>;
  /** Settles when the task is gone too, or cannot be deleted. */
  readonly finished: Promise<void>;
}

/**
 * What the daemon holds of a task of a container's or sandbox's own. Nothing here is durable: recovery
 * makes it anew.
 *
 *     unwatched ──watch──▶ running ──the exit is recorded──▶ exited ──the task is deleted──▶ finished
 *
 * and beside that, at any time and for good, from when a stop or removal begins:
 *
 *     open ──refuseNew──▶ ending
 *
 * and of each step that others are told of:
 *
 *     untold ──toldOnce──▶ told
 */
export abstract class LiveTask {
  readonly #id: string;
  #container: Container | undefined;
  #watch: Watch | undefined;
  #ending = false;
  readonly #told = new Map<string, Promise<void>>();

  constructor(id: string) {
    this.#id = id;
  }

  /** The handle of its containerd record, where one is at hand. */
  get container(): Container | undefined {
    return this.#container;
  }

  /** Keeps the handle; a later one has what was changed since. */
  keep(container: Container): void {
    this.#container = container;
  }

  /** The handle at hand, or the one that `load` brings. */
  async loaded(load: () => Promise<Container>): Promise<Container> {
    if (this.#container) return this.#container;
    const loaded = await load();
    // One that came meanwhile is newer.
    return (this.#container ??= loaded);
  }

  /** Settles when others have been told; undefined where nobody has begun to tell them. */
  told(step: string): Promise<void> | undefined {
    return this.#told.get(step);
  }

  /** Whether others are being told, or have been. */
  isTold(step: string): boolean {
    return this.#told.has(step);
  }

  /** Once in its life, when its task runs, or has run. INTERNAL the second time. */
  watch(task: Task, { recorded, finished }: Ending): void {
    if (this.#watch) throw fault("INTERNAL", `the task of "${this.#id}" is watched already`);
    const exited = recorded.then(() => {
      watch.hasExited = true;
    });
    const watch: Watch = { task, exited, finished, hasExited: false };
    this.#watch = watch;
  }

  /** Undefined while unwatched. */
  get task(): Task | undefined {
    return this.#watch?.task;
  }

  /** Settles at the state `exited`; undefined while unwatched. Never rejects. */
  get exited(): Promise<void> | undefined {
    return this.#watch?.exited;
  }

  get hasExited(): boolean {
    return this.#watch?.hasExited === true;
  }

  /** Settles at the state `finished`; undefined while unwatched. Never rejects. */
  get finished(): Promise<void> | undefined {
    return this.#watch?.finished;
  }

  /** Nothing new may start in it from now on. */
  refuseNew(): void {
    this.#ending = true;
  }

  get ending(): boolean {
    return this.#ending;
  }

  /** Has others told of a step in its life by `tell`, whoever comes first; the rest wait for that. */
  toldOnce(step: "stopped" | "removed", tell: () => Promise<void>): Promise<void> {
    const told = this.#told.get(step) ?? tell();
    this.#told.set(step, told);
    return told;
  }
}

interface Watch {
  readonly task: Task;
  readonly exited: Promise<void>;
  readonly finished: Promise<void>;
  hasExited: boolean;
}
