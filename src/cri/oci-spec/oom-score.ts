// SPDX-License-Identifier: Apache-2.0

import { invalid } from "../../base/invalid-field.ts";
import type { HostFacts } from "./ports.ts";

/** The kubelet's score for what holds a pod together. */
export const sandboxOomScoreAdj = -998;

/**
 * The score to ask for. Without CAP_SYS_RESOURCE the kernel refuses anything below the daemon's own
 * score, and runc then dies with an error that names nothing; so it is raised to that instead.
 */
export function clampOomScoreAdj(
  requested: bigint,
  host: Pick<HostFacts, "daemonOomScoreAdj" | "canLowerOomScore">,
): number {
  if (requested < -1000n || requested > 1000n) {
    throw invalid("linux.resources.oom_score_adj", `${requested} is outside -1000..1000`);
  }
  const score = Number(requested);
  return host.canLowerOomScore ? score : Math.max(score, host.daemonOomScoreAdj);
}
