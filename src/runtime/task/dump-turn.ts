// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";

/**
 * The one dump of a task that may run. The shim answers nothing else of the task meanwhile, so that a second one would
 * only wait; and who gives up on a dump ends it by the task's name, whosever it is.
 */
export class DumpTurn {
  #ending: AbortController | undefined;

  /** FAILED_PRECONDITION, beginning with `action`, when a dump runs. The dump's signal is that of `call`, or of `end`. */
  begin(action: string, { signal }: Cancellable): Cancellable & Disposable {
    if (this.#ending)
      throw fault("FAILED_PRECONDITION", `${action}: another checkpoint of it runs`);
    const ending = new AbortController();
    this.#ending = ending;
    return {
      signal: AbortSignal.any([signal, ending.signal]),
      [Symbol.dispose]: () => {
        this.#ending = undefined;
      },
    };
  }

  /** Has the dump fail with this, if one runs. */
  end(why: () => Error): void {
    this.#ending?.abort(why());
  }
}
