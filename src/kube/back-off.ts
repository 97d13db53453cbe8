// SPDX-License-Identifier: Apache-2.0
import type { Problem, ProblemKind } from "./ports.ts";

const firstMs = 1_000;
/** What no waiting mends: somebody must. */
const firstOfOperatorsMs = 10_000;
const lastMs = 300_000;
const operators: ReadonlySet<ProblemKind> = new Set(["kubeconfig", "unauthorized", "forbidden"]);

/** How long an API server is left alone that takes nothing: longer each time, by chance, and as it says. */
export class BackOff {
  #attempts = 0;

  reset(): void {
    this.#attempts = 0;
  }

  /** After one more failure. */
  nextMs({ kind, retryAfterMs = 0 }: Problem): number {
    const first = operators.has(kind) ? firstOfOperatorsMs : firstMs;
    const fullMs = Math.min(first * 2 ** Math.min(this.#attempts, 20), lastMs);
    this.#attempts += 1;
    // Nodes that were all put off for the same time must not all come back at once.
    return Math.max(fullMs * (0.5 + Math.random() / 2), retryAfterMs * (1 + Math.random() / 4));
  }
}
