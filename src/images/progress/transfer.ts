// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { sleep } from "../../base/timers.ts";
import type { TransferKind, TransferStep } from "../ports.ts";

/** How many parts of an image are told of: others are moved, but not shown. */
const mostSteps = 512;

/** What all parts come to. */
export interface TransferTotals {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly layers: number;
  /** Of which nothing is left to do. */
  readonly doneLayers: number;
  /** What is done now: "resolving", or the state of the layers that are furthest behind. */
  readonly state: string;
}

/**
 * How far a pull or a push is, part by part. It keeps the last state of each part and nothing else, so that whoever looks,
 * however seldom, costs nothing but that.
 */
export class Transfer {
  readonly kind: TransferKind;
  /** The image's canonical name. */
  readonly image: string;
  readonly startedAt = performance.now();
  readonly #steps = new Map<string, { readonly step: TransferStep; readonly version: number }>();
  #version = 0;
  #movedBytes = 0;

  constructor(kind: TransferKind, image: string) {
    this.kind = kind;
    this.image = image;
  }

  /** The part is in this state now. */
  step(step: TransferStep): void {
    const known = this.#steps.get(step.digest)?.step;
    if (known === undefined && this.#steps.size >= mostSteps) return;
    if (known && isSame(known, step)) return;
    this.#version += 1;
    this.#steps.set(step.digest, { step, version: this.#version });
  }

  /** So many bytes have come, or gone. */
  moved(bytes: number): void {
    this.#movedBytes += bytes;
  }

  /** All that came, or went, again and again where it was cut off. */
  get movedBytes(): number {
    return this.#movedBytes;
  }

  /** Grows with each change. */
  get version(): number {
    return this.#version;
  }

  /** Those that have changed since a version, in the order in which they were first told. */
  since(version: number): readonly TransferStep[] {
    if (version >= this.#version) return [];
    return [...this.#steps.values()].filter((one) => one.version > version).map(({ step }) => step);
  }

  totals(): TransferTotals {
    const steps = [...this.#steps.values()].map(({ step }) => step);
    const layers = steps.filter(({ kind }) => kind === "layer");
    const sum = (of: "doneBytes" | "totalBytes"): number =>
      steps.reduce((all, step) => all + step[of], 0);
    const isAt = (wanted: string): boolean => steps.some(({ state }) => state === wanted);
    return {
      doneBytes: sum("doneBytes"),
      totalBytes: sum("totalBytes"),
      layers: layers.length,
      doneLayers: layers.filter(({ state }) => ended.has(state)).length,
      state: steps.length === 0 ? "resolving" : (working.find(isAt) ?? "finishing"),
    };
  }
}

const ended: ReadonlySet<string> = new Set(["exists", "mounted", "skipped", "done"]);
const working = ["downloading", "loading", "uploading", "extracting", "waiting"];

function isSame(a: TransferStep, b: TransferStep): boolean {
  return a.state === b.state && a.doneBytes === b.doneBytes && a.totalBytes === b.totalBytes;
}

/** How often changes are told. */
const tellMs = 100;

/**
 * What changes while `work` goes on, now and then; and then its result, or its error. `current` may be another transfer
 * later: it is told from its start. A reader that is slow gets less of it.
 */
export async function* changesDuring<T>(
  current: () => Transfer | undefined,
  work: Promise<T>,
  { signal }: Cancellable,
): AsyncGenerator<readonly TransferStep[], T, undefined> {
  const over = new AbortController();
  const settle = (): void => over.abort();
  work.then(settle, settle);
  const end = AbortSignal.any([signal, over.signal]);
  let transfer = current();
  let told = 0;
  const changes = (): readonly TransferStep[] => {
    const now = current();
    if (now !== undefined && now !== transfer) told = 0;
    transfer = now ?? transfer; // its last steps are told when it is over
    const changed = transfer?.since(told) ?? [];
    told = transfer?.version ?? 0;
    return changed;
  };
  while (!over.signal.aborted) {
    await sleepUntil(end);
    signal.throwIfAborted();
    const changed = changes();
    if (changed.length > 0) yield changed;
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
