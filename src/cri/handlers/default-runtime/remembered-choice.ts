// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import { writeFileAtomic } from "../../../base/atomic-file.ts";
import { isRecord } from "../../../base/is-record.ts";
import { readBounded } from "../../../base/read-bounded.ts";
import type { RuntimeFeatures } from "../../oci-spec/ports.ts";
import { noRuntimeFeatures } from "../../oci-spec/runtime-features.ts";
import type { NodeFacts } from "./node-facts.ts";

const maxBytes = 1024 * 1024;
const form = 1;

/** What came of a trial: crun with what it can, or why not. */
export interface TrialOutcome {
  /** Undefined when crun is not to be used. */
  readonly features: RuntimeFeatures | undefined;
  /** crun's; "" when it tells none. */
  readonly version: string;
  readonly reason: string;
}

/** What was found on a node just like this one; undefined when nothing was, or the file cannot be read. */
export async function rememberedOutcome(
  file: string,
  facts: NodeFacts,
): Promise<TrialOutcome | undefined> {
  try {
    const stored: unknown = JSON.parse(String(await readBounded(file, maxBytes)));
    if (!isRecord(stored) || stored["form"] !== form) return undefined;
    if (!isDeepStrictEqual(stored["facts"], asJson(facts))) return undefined;
    const { reason, features, version } = stored;
    if (typeof reason !== "string" || typeof version !== "string") return undefined;
    if (features === undefined) return { features, version, reason };
    return isFeatures(features) ? { features, version, reason } : undefined;
  } catch {
    return undefined;
  }
}

/** Throws what the file system does. */
export async function rememberOutcome(
  file: string,
  facts: NodeFacts,
  outcome: TrialOutcome,
): Promise<void> {
  await writeFileAtomic(file, `${JSON.stringify({ form, facts, ...outcome }, undefined, 2)}\n`);
}

function asJson(facts: NodeFacts): unknown {
  return JSON.parse(JSON.stringify(facts));
}

function isFeatures(value: unknown): value is RuntimeFeatures {
  if (!isRecord(value)) return false;
  return Object.entries(noRuntimeFeatures).every(([name, sample]: [string, unknown]) => {
    const one = value[name];
    if (!Array.isArray(sample)) return typeof one === typeof sample;
    return Array.isArray(one) && one.every((word) => typeof word === "string");
  });
}
