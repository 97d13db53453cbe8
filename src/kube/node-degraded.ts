// SPDX-License-Identifier: Apache-2.0
import { cleanText } from "./clean-text.ts";
import type { NodeCondition } from "./ports.ts";

/** A stage of a call that has run for far longer than it ever takes. */
export interface HangingStage {
  readonly rpc: string;
  readonly stage: string;
}

/** node-problem-detector's own: seldom enough for etcd with thousands of nodes. */
const heartbeatMs = 300_000;
/** For so long nothing must hang before it is told that nothing does. */
const calmMs = 60_000;
const longestMessage = 500;
/** Stages that are named; there are some thirty in all. */
const mostStages = 10;

type Told = Pick<NodeCondition, "status" | "reason" | "message">;

const healthy: Told = {
  status: "False",
  reason: "NoStageHangs",
  message: "no stage of a call hangs",
};

/**
 * The condition RuntimeDegraded of the node: True with the stages that hang, False else. It is told when it changes,
 * and every five minutes.
 */
export class NodeDegraded {
  #now: Told = healthy;
  #sinceMs: number | undefined;
  #lastHangMs = Number.NEGATIVE_INFINITY;
  #told: Told | undefined;
  #toldAtMs = Number.NEGATIVE_INFINITY;

  get current(): Told {
    return this.#now;
  }

  look(hanging: readonly HangingStage[], nowMs: number): void {
    if (hanging.length > 0) this.#lastHangMs = nowMs;
    else if (nowMs - this.#lastHangMs < calmMs) return;
    const next = hanging.length === 0 ? healthy : degraded(hanging);
    if (next.status !== this.#now.status || this.#sinceMs === undefined) this.#sinceMs = nowMs;
    this.#now = next;
  }

  /** What is to be told now; undefined when it was. */
  due(nowMs: number): NodeCondition | undefined {
    const isKnown = this.#told?.message === this.#now.message;
    if (isKnown && nowMs - this.#toldAtMs < heartbeatMs) return undefined;
    return this.#condition(this.#now, nowMs);
  }

  /** To be called when an API server has taken it. */
  taken({ status, reason, message }: NodeCondition, nowMs: number): void {
    this.#told = { status, reason, message };
    this.#toldAtMs = nowMs;
  }

  /** For another API server, or another node's name: nothing was told there. */
  forget(): void {
    this.#told = undefined;
  }

  /** What a daemon says that will say nothing more; undefined when it never said anything. */
  farewell(nowMs: number): NodeCondition | undefined {
    if (this.#told === undefined) return undefined;
    const message = "berthd does not report it any more";
    this.#sinceMs = nowMs;
    return this.#condition({ status: "Unknown", reason: "NotReported", message }, nowMs);
  }

  #condition(told: Told, nowMs: number): NodeCondition {
    return {
      type: "RuntimeDegraded",
      ...told,
      lastHeartbeatTime: new Date(nowMs).toISOString(),
      lastTransitionTime: new Date(this.#sinceMs ?? nowMs).toISOString(),
    };
  }
}

function degraded(hanging: readonly HangingStage[]): Told {
  const stages = [...new Set(hanging.map(({ rpc, stage }) => `${rpc} at stage "${stage}"`))];
  const named = stages.sort().slice(0, mostStages).join(", ");
  return {
    status: "True",
    reason: "StageHangs",
    message: cleanText(`hangs: ${named}; berth operations shows them`, longestMessage),
  };
}
