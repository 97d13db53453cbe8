// SPDX-License-Identifier: Apache-2.0
import type { LiveTask } from "./live-task.ts";

/** The live side of all containers, or of all sandboxes, by id. */
export class LiveSet<L extends LiveTask> {
  readonly #byId = new Map<string, L>();
  readonly #make: (id: string) => L;

  constructor(make: (id: string) => L) {
    this.#make = make;
  }

  /** Made on first use, for an id that has a record or is about to. */
  of(id: string): L {
    let live = this.#byId.get(id);
    if (!live) {
      live = this.#make(id);
      this.#byId.set(id, live);
    }
    return live;
  }

  /** For an id that may be nobody's. */
  get(id: string): L | undefined {
    return this.#byId.get(id);
  }

  delete(id: string): void {
    this.#byId.delete(id);
  }

  /** All exit monitors that run now. */
  monitors(): Promise<void>[] {
    return [...this.#byId.values()].flatMap(({ finished }) => (finished ? [finished] : []));
  }
}
