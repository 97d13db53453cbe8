// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { sleep } from "../../base/timers.ts";
import type { TransferStep } from "../ports.ts";

/** How many parts of an image are told of: others are moved, but not shown. */
const mostSteps = 512;

/**
 * How far a pull or a push is, part by part. It keeps the last state of each part and nothing else, so that whoever looks,
 * however seldom, costs nothing but that.
 */
export class Transfer {
  readonly #steps = new Map<string, { readonly step: TransferStep; readonly version: number }>();
  #version = 0;

  /** The part is in this state now. */
  step(step: TransferStep): void {
    const known = this.#steps.get(step.digest)?.step;
    if (known === undefined && this.#steps.size >= mostSteps) return;
    if (known && isSame(known, step)) return;
    this.#version += 1;
    this.#steps.set(step.digest, { step, version: this.#version });
  }

  get version(): number {
    return this.#version;
  }

  /** Those that have changed since a version, in the order in which they were first told. */
  since(version: number): readonly TransferStep[] {
    if (version >= this.#version) return [];
    return [...this.#steps.values()].filter((one) => one.version > version).map(({ step }) => step);
  }
}

function isSame(a: TransferStep, b: TransferStep): boolean {
  return a.state === b.state && a.doneBytes === b.doneBytes && a.totalBytes === b.totalBytes;
}

/** How often changes are told. */
const tellMs = 100;

/**
 * What changes while `work` goes on, now and then; and then its result, or its error. A reader that is slow gets less of
 * it.
 */
export async function* changesDuring<T>(
  transfer: Transfer,
  work: Promise<T>,
  { signal }: Cancellable,
): AsyncGenerator<readonly TransferStep[], T, undefined> {
  const over = new AbortController();
  const settle = (): void => over.abort();
  work.then(settle, settle);
  const end = AbortSignal.any([signal, over.signal]);
  let told = 0;
  while (!over.signal.aborted) {
    await sleepUntil(end);
    signal.throwIfAborted();
    const changes = transfer.since(told);
    told = transfer.version;
    if (changes.length > 0) yield changes;
  }
  return work;
}

async function sleepUntil(signal: AbortSignal): Promise<void> {
  try {
    await sleep(tellMs, { signal });
  } catch {
    // It is over.
  }
}
