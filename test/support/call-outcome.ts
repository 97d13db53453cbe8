// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { isFault } from "../../src/base/errors.ts";

/** What came of calls: how many were served, and how many refused, by the first words of the refusal. */
export interface Outcome {
  readonly served: number;
  readonly refused: ReadonlyMap<string, number>;
}

/** Waits for all calls. Fails over an end that is neither an answer nor a clear refusal. */
export async function outcomeOf(calls: readonly Promise<unknown>[]): Promise<Outcome> {
  const refused = new Map<string, number>();
  let served = 0;
  for (const end of await Promise.allSettled(calls)) {
    if (end.status === "fulfilled") served += 1;
    else {
      const reason = end.reason as Error;
      assert.ok(
        isFault(reason, "RESOURCE_EXHAUSTED") || isFault(reason, "UNAVAILABLE"),
        `neither served nor refused: ${reason}`,
      );
      assert.match(reason.message, /refused|too large|record|memory|try again|too many/);
      const kind = reason.message.replaceAll(/[0-9a-f]{12,}|\d+/g, "N").slice(0, 120);
      refused.set(kind, (refused.get(kind) ?? 0) + 1);
    }
  }
  return { served, refused };
}

/** For a test's diagnostics. */
export function toldOutcome({ served, refused }: Outcome): string {
  return `${served} served; refused: ${JSON.stringify(Object.fromEntries(refused))}`;
}
