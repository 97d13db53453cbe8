// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import type { PodFact, PodFactKind, PodName } from "../events/pod-facts.ts";
import { cleanText } from "./clean-text.ts";
import { concernsAll } from "./extent.ts";
import type { EventObject, JobOutcome, KubeJob, Problem } from "./ports.ts";
import { PutOff } from "./put-off.ts";

/** Things that go on, of all pods and of one: each is an Event, told again as it goes on. */
const mostRows = 512;
const mostOfPod = 12;
/** From one telling of a thing to the next: it doubles. */
const firstPauseMs = 30_000;
const lastPauseMs = 600_000;
/** What has not happened for so long is over, as for an API server, which forgets its Event by then. */
const forgetMs = 3_600_000;
/** All that is told: a burst, and then one in so long. */
const burst = 25;
const refillMs = 2_000;
/** How long a namespace is left alone after a failure, at first, and what failed: longer, so that the rest of it has its turn. */
const namespaceMs = 2_000;
const rowMs = 4_000;
/** API servers take 1024 bytes. */
const longestMessage = 500;
const component = "berthd";

const types: Readonly<Record<PodFactKind, EventObject["type"]>> = {
  ProcessOOMKilled: "Warning",
  ShimDied: "Warning",
  LogLinesLost: "Warning",
  RuntimeStageSlow: "Warning",
  NetworkCleanupFailed: "Warning",
  PullProgress: "Normal",
};

/** Why facts did not become Events: too many things at once, of all or of one pod; untold for an hour; refused for good. */
export interface EventDrops {
  full: number;
  pod: number;
  late: number;
  refused: number;
}

/** One thing that goes on with a pod. */
interface Row {
  readonly key: string;
  readonly pod: PodName;
  readonly kind: PodFactKind;
  readonly firstMs: number;
  /** Of the Event; another once an API server has forgotten it. */
  name: string;
  message: string;
  lastMs: number;
  count: number;
  /** How often it had happened when it was last told; 0 when it never was. */
  told: number;
  pauseMs: number;
  /** Not told before. */
  nextMs: number;
  /** While it fails. */
  putOff: PutOff | undefined;
}

/** A row that is to be told, and the request that does it. */
export interface DueEvent {
  readonly job: KubeJob;
  /** To be called with what became of it. */
  settle(outcome: JobOutcome, nowMs: number): void;
}

/**
 * What is to be told of pods: facts that are alike are one Event with a count, as kubelets' are, told at growing
 * intervals. Rows, texts and the rate have bounds, whatever tenants do and however long no API server takes anything.
 */
export class PodEvents {
  readonly drops: EventDrops = { full: 0, pod: 0, late: 0, refused: 0 };
  readonly #host: () => string;
  /** What happened longest ago comes first. */
  readonly #rows = new Map<string, Row>();
  /** Namespaces where something fails: others do not wait for them. */
  readonly #putOff = new Map<string, PutOff>();
  #sent = 0;
  #tokens = burst;
  #tokensAtMs = 0;

  /** `host` is the node's name. */
  constructor(host: () => string) {
    this.#host = host;
  }

  /** Events that were told, each telling counted. */
  get sent(): number {
    return this.#sent;
  }

  /** Things that wait to be told, or told again. */
  get waiting(): number {
    return [...this.#rows.values()].filter(isUntold).length;
  }

  add(fact: PodFact, nowMs: number): void {
    const { pod, kind, subject } = fact;
    this.#forget(nowMs);
    const key = JSON.stringify([pod.uid, kind, cleanText(subject, longestMessage)]);
    const message = cleanText(fact.message, longestMessage);
    const known = this.#rows.get(key);
    if (known !== undefined) {
      this.#rows.delete(key);
      this.#rows.set(key, known);
      Object.assign(known, { message, lastMs: nowMs, count: known.count + 1 });
      return;
    }
    if (!this.#hasRoom(pod.uid)) return;
    this.#rows.set(key, {
      key,
      pod: { namespace: pod.namespace, name: pod.name, uid: pod.uid },
      kind,
      name: nameFor(pod.name),
      message,
      firstMs: nowMs,
      lastMs: nowMs,
      count: 1,
      told: 0,
      pauseMs: firstPauseMs,
      nextMs: nowMs,
      putOff: undefined,
    });
  }

  /** What is to be told now, so many at most. Each is to be settled before the next call. */
  due(nowMs: number, most: number): DueEvent[] {
    this.#forget(nowMs);
    const may = Math.min(most, this.#refilled(nowMs));
    const rows = [...this.#rows.values()].filter((row) => this.#isDue(row, nowMs));
    return rows.slice(0, may).map((row) => {
      const { count } = row;
      return {
        job: this.#jobOf(row),
        settle: (outcome, atMs) => this.#settle(row, count, outcome, atMs),
      };
    });
  }

  clear(): void {
    this.#rows.clear();
    this.retry();
  }

  /** For another API server: nothing has failed there. */
  retry(): void {
    this.#putOff.clear();
    for (const row of this.#rows.values()) row.putOff = undefined;
  }

  #isDue(row: Row, nowMs: number): boolean {
    const ofAll = this.#putOff.get(row.pod.namespace);
    const mayTry = row.putOff?.isOver(nowMs) !== false && ofAll?.isOver(nowMs) !== false;
    return isUntold(row) && row.nextMs <= nowMs && mayTry;
  }

  /** The row, so that it holds up no other of its namespace, and the namespace, so that it holds up no other. */
  #fail(row: Row, problem: Problem, nowMs: number): void {
    // What has killed the thread may do so again.
    if (concernsAll(problem) && problem.kind !== "thread") return;
    const { namespace } = row.pod;
    row.putOff ??= new PutOff(rowMs);
    row.putOff.failed(problem, nowMs);
    const ofAll = this.#putOff.get(namespace) ?? new PutOff(namespaceMs);
    this.#putOff.set(namespace, ofAll);
    if (ofAll.isOver(nowMs)) ofAll.failed(problem, nowMs); // once for all that failed now
  }

  #settle(row: Row, count: number, outcome: JobOutcome, nowMs: number): void {
    if (outcome.kind === "untried") return;
    if (outcome.kind === "failed") return this.#fail(row, outcome.problem, nowMs);
    row.putOff = undefined;
    this.#putOff.delete(row.pod.namespace);
    this.#tokens -= 1;
    if (outcome.kind === "refused") return this.#drop(row);
    if (outcome.kind === "gone") {
      // The namespace of a new one, or an Event that the server has forgotten.
      if (row.told === 0) return this.#drop(row);
      row.told = 0;
      row.name = nameFor(row.pod.name);
      return;
    }
    this.#sent += 1;
    row.told = count;
    row.nextMs = nowMs + row.pauseMs;
    row.pauseMs = Math.min(2 * row.pauseMs, lastPauseMs);
  }

  #drop(row: Row): void {
    this.drops.refused += 1;
    this.#rows.delete(row.key);
  }

  #jobOf(row: Row): KubeJob {
    const { pod, kind, name, message, count } = row;
    const { namespace } = pod;
    const lastTimestamp = isoSeconds(row.lastMs);
    if (row.told > 0) {
      return { kind: "count-event", namespace, name, count, message, lastTimestamp };
    }
    const host = this.#host();
    return {
      kind: "create-event",
      namespace,
      event: {
        metadata: { name, namespace },
        involvedObject: { apiVersion: "v1", kind: "Pod", ...pod },
        type: types[kind],
        reason: kind,
        message,
        count,
        firstTimestamp: isoSeconds(row.firstMs),
        lastTimestamp,
        source: { component, host },
        reportingComponent: component,
        reportingInstance: host,
      },
    };
  }

  #forget(nowMs: number): void {
    for (const row of this.#rows.values()) {
      if (nowMs - row.lastMs < forgetMs) break;
      if (isUntold(row)) this.drops.late += 1;
      this.#rows.delete(row.key);
    }
    for (const [namespace, one] of this.#putOff) {
      if (one.isOld(nowMs)) this.#putOff.delete(namespace);
    }
  }

  #hasRoom(uid: string): boolean {
    let ofPod = 0;
    let oldestTold: Row | undefined;
    for (const row of this.#rows.values()) {
      if (row.pod.uid === uid) ofPod += 1;
      if (!isUntold(row)) oldestTold ??= row;
    }
    if (ofPod >= mostOfPod) {
      this.drops.pod += 1;
      return false;
    }
    if (this.#rows.size < mostRows) return true;
    if (oldestTold === undefined) {
      this.drops.full += 1;
      return false;
    }
    return this.#rows.delete(oldestTold.key);
  }

  #refilled(nowMs: number): number {
    const come = Math.floor((nowMs - this.#tokensAtMs) / refillMs);
    if (come > 0) {
      this.#tokens = Math.min(burst, this.#tokens + come);
      this.#tokensAtMs = nowMs;
    }
    return Math.max(0, this.#tokens);
  }
}

function isUntold({ count, told }: Row): boolean {
  return count > told;
}

/** As kubelets name theirs: the object's name, and what makes it unique. */
function nameFor(pod: string): string {
  return `${pod.slice(0, longestPodName)}.${randomBytes(8).toString("hex")}`;
}

/** A name of an object has at most 253 characters. */
const longestPodName = 230;

function isoSeconds(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString();
}
