// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { Patient } from "../patient.ts";
import type { Known } from "./known.ts";
import type { Scan } from "./process-scan.ts";

/** Something of ours that belongs to nothing that berthd knows. */
export interface Leftover {
  readonly what: string;
  readonly why: string;
  /** What removes it by hand; "" for what only `--fix` does well. */
  readonly mend: string;
  /** Removes it. undefined where nothing proves that it is ours: it is told, and never removed. */
  readonly remove: ((call: Cancellable) => Promise<void>) | undefined;
}

/** What a search for leftovers goes by. */
export interface Ground {
  readonly patient: Patient;
  readonly known: Known;
  readonly scan: Scan;
  readonly nowMs: number;
}

/** What is younger may be in the making. */
const youngMs = 60_000;

export function isYoung({ nowMs }: Ground, changedMs: number): boolean {
  return nowMs - changedMs < youngMs;
}
