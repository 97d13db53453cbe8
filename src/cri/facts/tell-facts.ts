// SPDX-License-Identifier: Apache-2.0
import type { PodFactKind } from "../../events/pod-facts.ts";
import type { OperationView } from "../lifecycle/operation.ts";
import type { CriParts } from "../parts.ts";
import { type PodOfNeeds, podOf } from "./pod-of.ts";

export type TellNeeds = PodOfNeeds & Pick<CriParts, "facts">;

/** What another part of the daemon noticed of a container or a sandbox, by its id alone. */
export interface Noticed {
  readonly kind: PodFactKind;
  readonly id: string;
  /** What is told, with the container's name where it is one's: `log lines of container "web" …`. */
  readonly message: (container: string) => string;
}

/** Tells it of the pod whose the id is; nothing of ids that are no pod's. */
export function tellNoticed(parts: TellNeeds, { kind, id, message }: Noticed): void {
  const known = podOf(parts, id);
  if (known === undefined) return;
  const { pod, container } = known;
  parts.facts.tell({ kind, pod, subject: container, message: message(container) });
}

/** Told from here on: a stage of ten seconds is slow, and may be a busy node's. */
const slowStageSeconds = 30;

/** Tells which stages hold up a call that concerns a pod. */
export function tellSlow(parts: TellNeeds, { rpc, object, stages }: OperationView): void {
  const known = podOf(parts, object);
  if (known === undefined) return;
  const { pod, container } = known;
  const of = container === "" ? "" : ` of container "${container}"`;
  for (const { stage, seconds } of stages) {
    if (seconds < slowStageSeconds) continue;
    parts.facts.tell({
      kind: "RuntimeStageSlow",
      pod,
      subject: `${rpc} ${stage} ${container}`,
      message: `${rpc}${of} has been at stage "${stage}" for ${Math.round(seconds)} s`,
    });
  }
}
