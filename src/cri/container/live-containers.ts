// SPDX-License-Identifier: Apache-2.0
import type { Container, Task } from "../../client/ports.ts";
import type { ContainerLog } from "../../logs/ports.ts";
import type { OciProcess } from "../../oci/spec.ts";

/**
 * What the daemon holds of a container or sandbox while it runs. Nothing here is durable: recovery
 * makes it anew.
 */
export interface LiveContainer {
  container?: Container;
  task?: Task;
  log?: ContainerLog;
  /** Settles when the record shows the exit; set while an exit monitor runs. Never rejects. */
  exited?: Promise<void>;
  /** The exit is recorded; set when `exited` settles. */
  hasExited: boolean;
  /** Settles when the task is gone too. Never rejects. */
  finished?: Promise<void>;
  /** The stop signal has been sent; a second stop does not send it again. */
  stopSignalled: boolean;
  /** A client has attached to the stdin of a container whose first client's is the only one. */
  stdinTaken?: boolean;
  /** The spec's process, read at the first exec. */
  process?: OciProcess;
  /** Stop or remove has begun: nothing new may start in it. */
  ending: boolean;
  /** How often taking the network down has failed. */
  networkFailures: number;
  /** What the network's CHECK found when the daemon last started: "OK", or what is amiss. */
  networkCheck?: string;
}

/** The live side of all containers, made on first use. */
export class LiveContainers {
  readonly #byId = new Map<string, LiveContainer>();

  of(id: string): LiveContainer {
    let live = this.#byId.get(id);
    if (!live) {
      live = { hasExited: false, stopSignalled: false, ending: false, networkFailures: 0 };
      this.#byId.set(id, live);
    }
    return live;
  }

  delete(id: string): void {
    this.#byId.delete(id);
  }

  /** All exit monitors that run now. */
  monitors(): Promise<void>[] {
    return [...this.#byId.values()].flatMap(({ finished }) => (finished ? [finished] : []));
  }
}
