// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../../../base/logger.ts";
import type { LiveConfig } from "../../../config/live-config.ts";
import type { RuntimeFeatures } from "../../oci-spec/ports.ts";
import { DefaultRuntimeChooser } from "./default-runtime.ts";
import { readNodeFacts } from "./node-facts.ts";
import type { RuntimeTrials } from "./ports.ts";
import type { TrialContainerNeeds } from "./trial-container.ts";
import { askRunc, tryCrun } from "./try-crun.ts";
import type { UnseenCrun } from "./unseen-cgroups.ts";

export interface DefaultRuntimeParts {
  readonly live: LiveConfig;
  /** What a configured handler can do. From memory. */
  readonly features: (handler: string) => RuntimeFeatures;
  readonly container: Omit<TrialContainerNeeds, "cri">;
  readonly unseen: UnseenCrun;
  readonly trials: RuntimeTrials;
  /** Where outcomes are kept. */
  readonly file: string;
  readonly log: Logger;
  readonly lifetime: AbortSignal;
}

/** The choice of this node's default OCI runtime; nothing is run before `begin`. */
export function createDefaultRuntime(parts: DefaultRuntimeParts): DefaultRuntimeChooser {
  const { live, features, container, trials, unseen, file, log, lifetime } = parts;
  return new DefaultRuntimeChooser({
    config: () => live.current.runtime,
    features,
    readFacts: (runtime) => readNodeFacts(runtime, { ...container, unseen }),
    tryOut: (facts, call) =>
      tryCrun({ ...container, cri: live.current.cri, trials, runcFeatures: askRunc }, facts, call),
    clear: () => trials.clear(),
    file,
    log,
    lifetime,
  });
}
