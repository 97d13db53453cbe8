// SPDX-License-Identifier: Apache-2.0

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** One part of the suite. */
export interface Step {
  readonly name: string;
  /** `npm run check` runs the static ones alone. */
  readonly group:
    | "static"
    | "unit"
    | "integration"
    | "e2e"
    | "conformance"
    | "package"
    | "vm"
    | "leaks";
  readonly run: () => Promise<Counts>;
}

export const none: Counts = { passed: 0, failed: 0, skipped: 0 };
export const passed: Counts = { ...none, passed: 1 };
export const failed: Counts = { ...none, failed: 1 };
export const skipped: Counts = { ...none, skipped: 1 };

export function add(a: Counts, b: Counts): Counts {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  };
}

export function describeCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
