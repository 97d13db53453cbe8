// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { ServiceImpl } from "../../rpc/service.ts";

type Service = ServiceImpl<"runtime.v1.RuntimeService">;

/** What only tells of them: what the record says, as for any container whose shim hangs. */
const telling: ReadonlySet<string> = new Set([
  "ContainerStatus",
  "ContainerStats",
  "PodSandboxStatus",
  "PodSandboxStats",
]);

/**
 * Sandboxes and containers of an earlier daemon whose shims have not answered since the start. They are shown as they
 * were. Whoever wants to change one, or the pod of one, or to enter it, is told to come back.
 */
export class LateRecords {
  /** Sandboxes by id: their own, or of containers by theirs. */
  readonly #sandboxes = new Map<string, string>();

  /** For as long as the work goes on. `sandboxId` is the pod's. */
  async during<T>(id: string, sandboxId: string, work: Promise<T>): Promise<T> {
    this.#sandboxes.set(id, sandboxId);
    try {
      return await work;
    } finally {
      this.#sandboxes.delete(id);
    }
  }

  /** The service, which refuses such calls. */
  guard(service: Service): Service {
    const entries = Object.entries(service) as [string, (...call: unknown[]) => unknown][];
    const guarded = entries.map(([method, handler]) =>
      telling.has(method)
        ? [method, handler]
        : [
            method,
            (...call: unknown[]) => {
              this.#refuse(call[0] as Named);
              return handler(...call);
            },
          ],
    );
    return Object.fromEntries(guarded) as Service;
  }

  #refuse({ containerId = "", podSandboxId = "" }: Named): void {
    for (const [id, sandboxId] of this.#sandboxes) {
      // Clients may name a record by the beginning of its id.
      const isContainer = containerId !== "" && id.startsWith(containerId);
      if (!isContainer && !(podSandboxId !== "" && sandboxId.startsWith(podSandboxId))) continue;
      throw fault("UNAVAILABLE", `the shim of "${id}" has not answered since the start; try again`);
    }
  }
}

interface Named {
  readonly containerId?: string;
  readonly podSandboxId?: string;
}
