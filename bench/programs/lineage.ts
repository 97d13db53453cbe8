// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { ProcessEvent } from "./trace-events.ts";

/** What was started between two looks. */
export interface Started {
  /** How often each program was started (exec), by its name. */
  readonly programs: ReadonlyMap<string, number>;
  /** Processes that began, whether or not they became another program; and threads. */
  readonly processes: number;
  readonly threads: number;
}

/** A program that starts its own file again: runc does so to leave the file on the disk alone. */
const itself = /^(?:\/proc\/(?:self|thread-self|\d+)|\/dev)\/(?:exe$|fd\/\d+$)/;

/**
 * The tasks that come from some first ones, by any number of forks, whoever their parent is by now; and what they
 * start. It must have seen every event since the first ones were looked up.
 */
export class Lineage {
  /** The program that each task runs, by thread id. */
  readonly #running = new Map<number, string>();
  #programs = new Map<string, number>();
  #processes = 0;
  #threads = 0;

  /** A task that is there, and the name of its program. */
  add(tid: number, program: string): void {
    this.#running.set(tid, program);
  }

  /** True for an event of one of its own. */
  take(event: ProcessEvent): boolean {
    if (event.kind === "exec") return this.#exec(event.tid, event.file);
    const program = this.#running.get(event.by);
    if (program === undefined) {
      this.#running.delete(event.tid); // the number of one that has ended, given to a stranger
      return false;
    }
    this.#running.set(event.tid, program);
    if (event.isThread) this.#threads += 1;
    else this.#processes += 1;
    return true;
  }

  #exec(tid: number, file: string): boolean {
    const before = this.#running.get(tid);
    if (before === undefined) return false;
    const isItself = itself.test(file);
    const name = isItself ? `${before}, again` : path.basename(file);
    if (!isItself) this.#running.set(tid, name);
    this.#programs.set(name, (this.#programs.get(name) ?? 0) + 1);
    return true;
  }

  /** What was started since the last call. */
  takeStarted(): Started {
    const started = {
      programs: this.#programs,
      processes: this.#processes,
      threads: this.#threads,
    };
    this.#programs = new Map();
    this.#processes = 0;
    this.#threads = 0;
    return started;
  }
}
