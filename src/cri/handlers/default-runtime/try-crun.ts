// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../../base/cancellable.ts";
import { isFault, toFault } from "../../../base/errors.ts";
import { run } from "../../../base/process.ts";
import type { RuntimeFeatures } from "../../oci-spec/ports.ts";
import {
  askRuntimeFeatures,
  noRuntimeFeatures,
  parseRuntimeFeatures,
} from "../../oci-spec/runtime-features.ts";
import type { NodeFacts } from "./node-facts.ts";
import type { RuntimeTrials } from "./ports.ts";
import type { TrialOutcome } from "./remembered-choice.ts";
import { type TrialContainerNeeds, trialContainer } from "./trial-container.ts";
import { againstResult, againstTold, featuresAfter, parseVersion, type Told } from "./weigh.ts";

const answerMs = 5_000;
const niceness = 15;
const maxOutputBytes = 256 * 1024;

export interface TryCrunNeeds extends TrialContainerNeeds {
  readonly trials: RuntimeTrials;
  /** Asks the runc of these facts what it can do. Rejects where it did not answer. */
  readonly runcFeatures: (facts: NodeFacts, call: Cancellable) => Promise<RuntimeFeatures>;
}

/** Asks crun what it can, and has it run a container. Rejects where that did not come to an end. */
export async function tryCrun(
  needs: TryCrunNeeds,
  facts: NodeFacts,
  call: Cancellable,
): Promise<TrialOutcome> {
  const program = facts.crun?.path ?? "";
  // runc is asked anew: what was known of it since the daemon's start may be of another one, or of a bad moment.
  const wanted = facts.runc === null ? noRuntimeFeatures : await needs.runcFeatures(facts, call);
  const told = await ask(program, facts, call);
  // Without runc nothing is required, but what crun says that it can is to be had.
  const tried = facts.runc === null ? (told.features ?? noRuntimeFeatures) : wanted;
  const { version } = told;
  const name = `crun ${version}`.trimEnd();
  const refusal = (why: string): TrialOutcome => ({
    features: undefined,
    version,
    reason: `${name} is not used: ${why}`,
  });
  const early = againstTold(told, wanted, facts);
  if (early !== undefined) return refusal(early);
  const handler = { ...facts.table, binaryName: facts.unseen?.path ?? program };
  const { request, limits } = await trialContainer(needs, handler, tried);
  try {
    const result = await needs.trials.run(request, call);
    const why = againstResult(told, wanted, { result, limits, facts });
    if (why !== undefined) return refusal(why);
    const where = facts.unseen === null ? "here" : `here as ${program} without cgroup v2 in sight`;
    return {
      features: featuresAfter(told, tried, result),
      version,
      reason: `${name} has run a container ${where}, and pods miss nothing that they have with runc`,
    };
  } catch (error) {
    if (!isFault(error, "FAILED_PRECONDITION")) throw error;
    return refusal(toFault(error).message);
  }
}

/** As TryCrunNeeds says. */
export async function askRunc(
  { runc, kernel }: NodeFacts,
  { signal }: Cancellable,
): Promise<RuntimeFeatures> {
  return runc === null
    ? noRuntimeFeatures
    : askRuntimeFeatures(runc.path, kernel, { signal, niceness });
}

async function ask(program: string, { kernel }: NodeFacts, { signal }: Cancellable): Promise<Told> {
  const options = { signal, timeoutMs: answerMs, niceness, maxOutputBytes };
  const version = await run(program, ["--version"], { ...options, anyExitCode: true });
  const features = await run(program, ["features"], { ...options, anyExitCode: true });
  return {
    ...parseVersion(version.stdout.toString()),
    features: readFeatures(features.stdout.toString(), kernel),
  };
}

/** Undefined for what is no JSON: crun has had the command since 1.9. */
function readFeatures(json: string, kernel: string): RuntimeFeatures | undefined {
  try {
    return parseRuntimeFeatures(json, kernel);
  } catch {
    return undefined;
  }
}
