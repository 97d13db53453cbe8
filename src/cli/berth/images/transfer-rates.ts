// SPDX-License-Identifier: Apache-2.0
import type { BerthTransferStep } from "../../../gen/berth.gen.ts";

/** A part of an image as it is shown. */
export interface ShownStep {
  readonly digest: string;
  readonly kind: string;
  readonly state: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Of the last seconds; 0 where nothing moves. */
  readonly bytesPerSecond: number;
}

/** Over so long a rate is taken. */
const windowMs = 3000;
const moving: ReadonlySet<string> = new Set(["downloading", "loading", "uploading"]);

interface Sample {
  readonly at: number;
  readonly bytes: number;
}

/** The parts of an image, in the order in which they were first told, with the rates of what moves. */
export class TransferRates {
  readonly #steps = new Map<string, { readonly step: BerthTransferStep; samples: Sample[] }>();

  update(steps: readonly BerthTransferStep[], now: number): void {
    for (const step of steps) {
      const known = this.#steps.get(step.digest)?.samples ?? [];
      const bytes = Number(step.doneBytes);
      // One that has begun anew has no rate yet.
      const kept =
        (known.at(-1)?.bytes ?? 0) > bytes ? [] : known.filter(({ at }) => at > now - windowMs);
      const last = known.at(-1);
      const from = kept.length === 0 && last && last.bytes <= bytes ? [last] : kept;
      this.#steps.set(step.digest, { step, samples: [...from, { at: now, bytes }] });
    }
  }

  list(now: number): readonly ShownStep[] {
    return [...this.#steps.values()].map(({ step, samples }) => ({
      digest: step.digest,
      kind: step.kind,
      state: step.state,
      doneBytes: Number(step.doneBytes),
      totalBytes: Number(step.totalBytes),
      bytesPerSecond: moving.has(step.state) ? rateOf(samples, now) : 0,
    }));
  }
}

function rateOf(samples: readonly Sample[], now: number): number {
  const [first] = samples;
  const last = samples.at(-1);
  if (!first || !last || now <= first.at || now - last.at > windowMs) return 0;
  return Math.max(0, Math.round(((last.bytes - first.bytes) * 1000) / (now - first.at)));
}
