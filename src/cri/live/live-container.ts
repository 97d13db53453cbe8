// SPDX-License-Identifier: Apache-2.0

import type { Task } from "../../client/ports.ts";
import type { ContainerLog } from "../../logs/ports.ts";
import type { OciProcess } from "../../oci/spec.ts";
import { LiveTask } from "./live-task.ts";

/**
 * A container as the daemon holds it, with the states of its task (LiveTask) and, each for itself:
 *
 *     its log          none ──keepLog──▶ open ──closeLog──▶ none
 *     its stop signal  unsent ──signalStop──▶ sent
 *     its stdin        free ──takeStdin──▶ taken ──giveBackStdin──▶ free
 *     its process      unread ──process──▶ read
 *     its eviction     none ──evict──▶ why
 *     its made task    none ──keepMade──▶ made, and not watched yet ──dispose──▶ none
 */
export class LiveContainer extends LiveTask {
  #log: ContainerLog | undefined;
  #stopSignalled = false;
  #stdinTaken = false;
  #process: OciProcess | undefined;
  #evicted: string | undefined;
  #madeTask: Task | undefined;

  get log(): ContainerLog | undefined {
    return this.#log;
  }

  keepLog(log: ContainerLog): void {
    this.#log = log;
  }

  /** Gives back what the log holds, if there is one. When that fails the log stays, to be closed again. */
  async closeLog(): Promise<void> {
    await this.#log?.[Symbol.asyncDispose]();
    this.#log = undefined;
  }

  /** Sends the stop signal by `send`, whoever is first; a second stop does not send it again. */
  async signalStop(send: () => Promise<void>): Promise<void> {
    if (this.#stopSignalled) return;
    this.#stopSignalled = true;
    await send();
  }

  /** For an stdin that only one client may have: true for who has it from now on. */
  takeStdin(): boolean {
    if (this.#stdinTaken) return false;
    this.#stdinTaken = true;
    return true;
  }

  /** By who took it and has ended nothing: the next client may. */
  giveBackStdin(): void {
    this.#stdinTaken = false;
  }

  /** Why a plugin has it ended; undefined when none has. The first reason stays. */
  get evicted(): string | undefined {
    return this.#evicted;
  }

  evict(reason: string): void {
    this.#evicted ??= reason;
  }

  /** A task that is made and does not run yet, and takes new limits; undefined where there is none. */
  get madeTask(): Task | undefined {
    return this.#madeTask;
  }

  /** Until it is disposed. */
  keepMade(task: Task): Disposable {
    this.#madeTask = task;
    return {
      [Symbol.dispose]: () => {
        this.#madeTask = undefined;
      },
    };
  }

  /** The process of its spec, read by `read` at the first exec. */
  async process(read: () => Promise<OciProcess>): Promise<OciProcess> {
    return (this.#process ??= await read());
  }
}
