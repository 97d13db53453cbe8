// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { ServiceImpl } from "../../rpc/service.ts";

type Service = ServiceImpl<"runtime.v1.RuntimeService">;

/** Methods that answer while the daemon recovers. */
const alwaysOpen: ReadonlySet<string> = new Set(["Version"]);

/** Lets calls through once it is open; until then they answer UNAVAILABLE. */
export class Gate {
  #isOpen = false;

  open(): void {
    this.#isOpen = true;
  }

  /** The service behind the gate. */
  guard(service: Service): Service {
    const entries = Object.entries(service) as [string, (...call: unknown[]) => unknown][];
    const guarded = entries.map(([method, handler]) =>
      alwaysOpen.has(method)
        ? [method, handler]
        : [
            method,
            (...call: unknown[]) => {
              if (!this.#isOpen) throw recovering();
              return handler(...call);
            },
          ],
    );
    return Object.fromEntries(guarded) as Service;
  }
}

function recovering(): Error {
  return fault("UNAVAILABLE", "the runtime service is starting up: it recovers pods");
}
