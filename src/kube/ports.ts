// SPDX-License-Identifier: Apache-2.0

/** What an API server is asked for; each is one request. Plain data: it goes to a thread. */
export type KubeJob =
  | { readonly kind: "create-event"; readonly namespace: string; readonly event: EventObject }
  | {
      readonly kind: "count-event";
      readonly namespace: string;
      readonly name: string;
      /** What has changed since it was made. */
      readonly count: number;
      readonly message: string;
      readonly lastTimestamp: string;
    }
  | { readonly kind: "condition"; readonly node: string; readonly condition: NodeCondition };

/** An Event of core/v1, as JSON. */
export interface EventObject {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly involvedObject: {
    readonly apiVersion: "v1";
    readonly kind: "Pod";
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
  };
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly source: { readonly component: string; readonly host: string };
  readonly reportingComponent: string;
  readonly reportingInstance: string;
}

export interface NodeCondition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  readonly lastHeartbeatTime: string;
  readonly lastTransitionTime: string;
}

/**
 * What keeps an API server from taking anything: `kubeconfig` it cannot be used, `unreachable` no connection, or it broke
 * off, `late` no answer in time, `unauthorized` 401, `forbidden` 403, `throttled` 429, `broken` 5xx, `rubbish` an
 * answer that no API server gives, `thread` ours has died.
 */
export type ProblemKind =
  | "kubeconfig"
  | "unreachable"
  | "late"
  | "unauthorized"
  | "forbidden"
  | "throttled"
  | "broken"
  | "rubbish"
  | "thread";

export interface Problem {
  readonly kind: ProblemKind;
  /** A clause; what a server wrote in it is cleaned and short. */
  readonly message: string;
  /** How long the server wants to be left alone. */
  readonly retryAfterMs?: number | undefined;
}

/** How a job ended: `refused` is for good, for this object alone; `gone` there is no such object any more. */
export type JobOutcome =
  | { readonly kind: "done" }
  | { readonly kind: "gone" }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "failed"; readonly problem: Problem }
  /** One before it has failed in a way that this one would, too. */
  | { readonly kind: "untried" };

/** Carries jobs to an API server, one after the other; never rejects. */
export interface SendsJobs extends AsyncDisposable {
  send(kubeconfig: string, jobs: readonly KubeJob[]): Promise<readonly JobOutcome[]>;
}
