// SPDX-License-Identifier: Apache-2.0
import os from "node:os";
import type { Logger } from "../base/logger.ts";
import { type OneTimer, startTimer } from "../base/timers.ts";
import { within } from "../base/waits.ts";
import type { PodFacts } from "../events/pod-facts.ts";
import { BackOff } from "./back-off.ts";
import { concernsAll, Extent } from "./extent.ts";
import { type HangingStage, NodeDegraded } from "./node-degraded.ts";
import { type DueEvent, PodEvents } from "./pod-events.ts";
import type { JobOutcome, KubeJob, NodeCondition, Problem, SendsJobs } from "./ports.ts";

export interface KubeSettings {
  /** "" for none: then nothing is told. */
  readonly kubeconfig: string;
  /** "" for the host's, as kubelets take it. */
  readonly nodeName: string;
}

export interface KubeReporterOptions {
  readonly facts: PodFacts;
  /** Stages that hang now. From memory. */
  readonly hanging: () => readonly HangingStage[];
  readonly link: SendsJobs;
  readonly log: Logger;
  /** For tests. */
  readonly paces?: Partial<Paces>;
}

interface Paces {
  /** From the start to the first word: pods come first. */
  readonly firstMs: number;
  /** How often it is looked for stages that hang, and for what is to be told. */
  readonly lookMs: number;
}

/** What operators see of it. */
export interface KubeState {
  readonly kubeconfig: string;
  readonly node: string;
  /** Why nothing is taken; undefined while something is, or nothing was tried yet. */
  readonly problem: LastingProblem | undefined;
  /** When an API server last took something. */
  readonly lastTakenMs: number | undefined;
  readonly waiting: number;
  readonly sent: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly condition: {
    readonly status: string;
    readonly message: string;
    /** Why it alone is not taken. */
    readonly problem: LastingProblem | undefined;
  };
}

type LastingProblem = Pick<Problem, "kind" | "message"> & { readonly sinceMs: number };

const usualPaces: Paces = { firstMs: 10_000, lookMs: 5_000 };
const mostOfBatch = 10;
/** The same problem is told once in so long, also where it comes and goes. */
const tellMs = 600_000;
const farewellMs = 5_000;

/**
 * Tells a cluster what no kubelet tells: Events on pods, and a condition on the node. Nothing waits for it. Without a
 * kubeconfig it does nothing.
 */
export class KubeReporter implements AsyncDisposable {
  readonly #options: KubeReporterOptions;
  readonly #paces: Paces;
  readonly #events = new PodEvents(() => this.#node);
  readonly #degraded = new NodeDegraded();
  readonly #backOff = new BackOff();
  /** Of the condition alone: a credential may be for events only. */
  readonly #conditionBackOff = new BackOff();
  readonly #listening: Disposable;
  readonly #toldProblems = new Map<string, number>();
  #settings: KubeSettings = { kubeconfig: "", nodeName: "" };
  #node = "";
  #problem: LastingProblem | undefined;
  #conditionProblem: LastingProblem | undefined;
  #lastTakenMs: number | undefined;
  #notBeforeMs = 0;
  #conditionNotBeforeMs = 0;
  #timer: OneTimer | undefined;
  #round: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: KubeReporterOptions) {
    this.#options = options;
    this.#paces = { ...usualPaces, ...options.paces };
    this.#listening = options.facts.listen((fact) => {
      if (this.#settings.kubeconfig !== "") this.#events.add(fact, Date.now());
    });
  }

  /** Takes up other settings at once; a reload may call it again and again. */
  configure(settings: KubeSettings): void {
    const before = { ...this.#settings, node: this.#node };
    const node = settings.nodeName || os.hostname().trim().toLowerCase();
    if (before.kubeconfig === settings.kubeconfig && before.node === node) return;
    this.#settings = settings;
    this.#node = node;
    this.#problem = undefined;
    this.#conditionProblem = undefined;
    this.#notBeforeMs = 0;
    this.#conditionNotBeforeMs = 0;
    this.#backOff.reset();
    this.#conditionBackOff.reset();
    this.#toldProblems.clear();
    this.#events.retry();
    const left = before.kubeconfig === "" ? undefined : this.#degraded.farewell(Date.now());
    this.#degraded.forget();
    if (settings.kubeconfig === "") this.#events.clear();
    if (left) this.#begin(() => this.#takeLeave(before, left));
    else this.#plan(this.#paces.firstMs * (1 + Math.random()));
  }

  /** undefined where it is off. */
  state(): KubeState | undefined {
    const { kubeconfig } = this.#settings;
    if (kubeconfig === "") return undefined;
    const { status, message } = this.#degraded.current;
    return {
      kubeconfig,
      node: this.#node,
      problem: this.#problem,
      lastTakenMs: this.#lastTakenMs,
      waiting: this.#events.waiting,
      sent: this.#events.sent,
      dropped: { ...this.#events.drops },
      condition: { status, message, problem: this.#conditionProblem },
    };
  }

  /** The condition stays as it is: the next daemon goes on with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#listening[Symbol.dispose]();
    this.#timer?.stop();
    await this.#options.link[Symbol.asyncDispose]();
    await this.#round;
  }

  #plan(ms: number): void {
    this.#timer?.stop();
    if (this.#isClosed || this.#settings.kubeconfig === "") return;
    this.#timer = startTimer(() => this.#begin(() => this.#tell()), ms).unref();
  }

  /** One after the other: what comes while one runs begins at its end. */
  #begin(work: () => Promise<void>): void {
    this.#timer?.stop();
    const round = (this.#round ?? Promise.resolve())
      .then(work)
      .catch((err: unknown) => this.#options.log.error({ err }, "telling the cluster failed"))
      .finally(() => {
        if (this.#round !== round) return;
        this.#round = undefined;
        this.#plan(this.#paces.lookMs);
      });
    this.#round = round;
  }

  async #tell(): Promise<void> {
    const nowMs = Date.now();
    this.#degraded.look(this.#options.hanging(), nowMs);
    if (nowMs < this.#notBeforeMs) return;
    const condition = nowMs < this.#conditionNotBeforeMs ? undefined : this.#degraded.due(nowMs);
    const events = this.#events.due(nowMs, mostOfBatch);
    const jobs = this.#jobsOf(condition, events);
    if (jobs.length === 0) return;
    const settings = this.#settings;
    const outcomes = await this.#options.link.send(settings.kubeconfig, jobs);
    if (this.#isClosed || settings !== this.#settings) return; // nothing of it holds any more
    this.#settle(outcomes, condition, events);
  }

  #settle(
    outcomes: readonly JobOutcome[],
    condition: NodeCondition | undefined,
    events: readonly DueEvent[],
  ): void {
    const nowMs = Date.now();
    const [first, ...rest] = outcomes;
    const ofEvents = condition === undefined ? outcomes : rest;
    for (const [index, event] of events.entries()) {
      event.settle(ofEvents[index] ?? { kind: "untried" }, nowMs);
    }
    const isTaken = outcomes.some(({ kind }) => kind === "done");
    if (isTaken) {
      this.#lastTakenMs = nowMs;
      this.#backOff.reset();
    }
    const ofAll = problemOfAll(this.#jobsOf(condition, events), outcomes);
    if (ofAll) this.#notBeforeMs = nowMs + this.#backOff.nextMs(ofAll);
    const isAnswered = ofEvents.some(isAnswer);
    const isApart = condition && first && (isAnswered || isOfConditionAlone(first));
    // Where it is as with all, it is tried again with all.
    if (condition && first && (first.kind === "done" || !ofAll)) {
      this.#settleCondition(condition, first, { isApart: isApart === true, nowMs });
    }
    const tried = isApart ? ofEvents : outcomes;
    const problem = ofAll ?? (isAnswered ? undefined : problemIn(tried));
    if (problem) this.#problem = this.#fail("events", problem, nowMs);
    else if (isAnswered || ((isTaken || isApart) && this.#isPast())) this.#recover();
  }

  /** It is held apart: a credential may be for events only. */
  #settleCondition(
    condition: NodeCondition,
    outcome: JobOutcome,
    { isApart, nowMs }: { readonly isApart: boolean; readonly nowMs: number },
  ): void {
    if (outcome.kind === "done") {
      this.#conditionBackOff.reset();
      this.#conditionProblem = undefined;
      this.#degraded.taken(condition, nowMs);
      return;
    }
    const problem = conditionProblem(outcome, this.#node);
    if (problem === undefined) return;
    this.#conditionNotBeforeMs = nowMs + this.#conditionBackOff.nextMs(problem);
    if (isApart) this.#conditionProblem = this.#fail("the condition", problem, nowMs);
  }

  #jobsOf(condition: NodeCondition | undefined, events: readonly DueEvent[]): readonly KubeJob[] {
    const jobs: KubeJob[] = events.map(({ job }) => job);
    if (condition) jobs.unshift({ kind: "condition", node: this.#node, condition });
    return jobs;
  }

  /** Whether the problem is none any more once anything is taken. */
  #isPast(): boolean {
    return this.#problem === undefined || concernsAll(this.#problem) || this.#events.waiting === 0;
  }

  #recover(): void {
    if (this.#problem === undefined) return;
    this.#options.log.info({ kubeconfig: this.#settings.kubeconfig }, "API server takes events");
    this.#problem = undefined;
  }

  #fail(
    what: "events" | "the condition",
    { kind, message }: Problem,
    nowMs: number,
  ): LastingProblem {
    const before = what === "events" ? this.#problem : this.#conditionProblem;
    const problem = { kind, message, sinceMs: before?.sinceMs ?? nowMs };
    const key = `${what} ${kind}`;
    const toldMs = this.#toldProblems.get(key);
    if (toldMs !== undefined && nowMs - toldMs < tellMs) return problem;
    this.#toldProblems.set(key, nowMs);
    const { kubeconfig } = this.#settings;
    this.#options.log.warn(
      { kubeconfig, problem: kind, reason: message },
      `API server does not take ${what}: pods do not wait for it`,
    );
    return problem;
  }

  /** Once, and for a moment: whoever turns it off must not wait. */
  async #takeLeave(
    { kubeconfig, node }: { readonly kubeconfig: string; readonly node: string },
    condition: NodeCondition,
  ): Promise<void> {
    const sent = this.#options.link.send(kubeconfig, [{ kind: "condition", node, condition }]);
    await within(sent, farewellMs);
    if (this.#settings.kubeconfig !== "") await sent; // one at a time
  }
}

/** What is wrong with the condition alone. */
function conditionProblem(outcome: JobOutcome, node: string): Problem | undefined {
  if (outcome.kind === "gone") return { kind: "kubeconfig", message: `there is no node "${node}"` };
  if (outcome.kind === "refused") return { kind: "rubbish", message: outcome.message };
  return outcome.kind === "failed" ? outcome.problem : undefined;
}

/** Whether it says nothing of events. */
function isOfConditionAlone(outcome: JobOutcome): boolean {
  if (outcome.kind === "failed") return outcome.problem.kind === "forbidden";
  return outcome.kind === "gone" || outcome.kind === "refused";
}

/** What no job would come through with. */
function problemOfAll(
  jobs: readonly KubeJob[],
  outcomes: readonly JobOutcome[],
): Problem | undefined {
  const extent = new Extent();
  for (const [index, job] of jobs.entries()) {
    const outcome = outcomes[index];
    if (outcome?.kind === "failed" && extent.isWhole(job, outcome.problem)) return outcome.problem;
  }
  return undefined;
}

function problemIn(outcomes: readonly JobOutcome[]): Problem | undefined {
  return outcomes.find((outcome) => outcome.kind === "failed")?.problem;
}

/** An API server has answered it. */
function isAnswer({ kind }: JobOutcome): boolean {
  return kind === "done" || kind === "gone" || kind === "refused";
}
