// SPDX-License-Identifier: Apache-2.0
import { fault, isFault, type RuntimeFault } from "../../../base/errors.ts";
import { missingImages } from "./unknown-images.ts";

/**
 * For commands that take away several images or names: one that cannot be had does not keep the others from it, and all that
 * failed is told at the end.
 */
export class EachImage {
  readonly #namespace: string;
  readonly #missing: string[] = [];
  readonly #failed: RuntimeFault[] = [];

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  isMissing(reference: string): void {
    this.#missing.push(reference);
  }

  /** Throws what would befall the others too. */
  async try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isOfOne(error)) throw error;
      this.#failed.push(error);
    }
  }

  /** Throws what was kept: a line for each. */
  throwFirst(): void {
    const { length } = this.#missing;
    const all = [
      ...(length > 0 ? [missingImages(this.#missing, this.#namespace)] : []),
      ...this.#failed,
    ];
    const [first] = all;
    if (!first) return;
    if (all.length === 1) throw first;
    throw fault(first.code, all.map(({ message }) => message).join("\n"), { cause: first });
  }
}

function isOfOne(error: unknown): error is RuntimeFault {
  return isFault(error, "NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "ABORTED");
}
