// SPDX-License-Identifier: Apache-2.0

/** A pod as a cluster knows it. */
export interface PodName {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * What befalls pods and no kubelet learns of, by the reasons that Events have.
 *
 * - `ProcessOOMKilled`: the kernel killed a process for want of memory, and its container goes on.
 * - `ShimDied`: the shim ended by itself; the containers that it held have ended with it.
 * - `LogLinesLost`: output that could not be written to the log.
 * - `RuntimeStageSlow`: a call of the kubelet is at one stage for longer than that ever takes.
 * - `NetworkCleanupFailed`: CNI DEL failed; the pod ends, and what plugins gave it is not given back yet.
 * - `PullProgress`: how far a pull is that takes long.
 */
export type PodFactKind =
  | "ProcessOOMKilled"
  | "ShimDied"
  | "LogLinesLost"
  | "RuntimeStageSlow"
  | "NetworkCleanupFailed"
  | "PullProgress";

export interface PodFact {
  readonly kind: PodFactKind;
  readonly pod: PodName;
  /** What of the pod: a container, a stage, an image; "" for all of it. Facts that have all but the message in common are one thing that goes on. */
  readonly subject: string;
  /** A sentence without its stop; tenants may have had a say in it. */
  readonly message: string;
}

type Listener = (fact: PodFact) => void;

/**
 * Where the parts of the daemon tell what befalls pods. Whoever wants to pass it on listens; nobody waits, and nothing
 * is kept here but how many there were.
 */
export class PodFacts {
  readonly #listeners = new Set<Listener>();
  readonly #counts = new Map<PodFactKind, number>();

  tell(fact: PodFact): void {
    this.#counts.set(fact.kind, (this.#counts.get(fact.kind) ?? 0) + 1);
    for (const listener of this.#listeners) listener(fact);
  }

  /** Must not throw or wait. */
  listen(listener: Listener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Since the start, by kind. */
  counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }
}
