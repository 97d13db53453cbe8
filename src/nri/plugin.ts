// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { fault, type RuntimeFault, toFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { Semaphore } from "../base/semaphore.ts";
import { shortened } from "../base/shortened.ts";
import { startTimer } from "../base/timers.ts";
import { unlessAborted } from "../base/waits.ts";
import { AnsweredFault } from "../ttrpc/client.ts";
import { CallCounts } from "./call-counts.ts";
import { type EventCall, type PluginCall, stateChanges } from "./calls.ts";
import {
  encodeCall,
  type PluginConnection,
  type RequestInit,
  type Response,
} from "./connection.ts";
import type { ContainerInit, ContainerUpdate, PodSandboxInit } from "./messages.ts";
import { type PluginName, pluginId } from "./plugin-name.ts";
import type { CallWatch, PluginReport } from "./ports.ts";
import { type Snapshot, synchronizeParts } from "./synchronize-parts.ts";

/** How long a plugin may owe an answer before its connection is ended. */
const longestDebtMs = 30_000;
/** How long an operation waits behind other calls to a plugin that answers. */
const longestQueueMs = 60_000;
/** A Synchronize is about the whole node: it may take so many times as long as another call. */
const synchronizeTimes = 5;
/** What one timer may be ahead of another that was started with it. */
const timersMs = 5;
/** Of what a plugin says about a refusal. */
const longestReason = 1024;

/** How one plugin is treated. */
export interface PluginPolicy {
  /** How long it may take for an answer, from when it is its turn. */
  readonly requestTimeoutMs: number;
  /** When it does not answer: go on without it, or fail the operation. */
  readonly onFailure: "continue" | "refuse";
}

export interface PluginFacts extends PluginName {
  readonly kind: "external" | "launched";
  readonly version: string;
  readonly events: ReadonlySet<EventCall>;
  /** It asked to stay connected however long it owes an answer. */
  readonly keepConnected: boolean;
}

export interface PluginNeeds {
  readonly connection: PluginConnection;
  /** As the configuration says now. */
  readonly policy: () => PluginPolicy;
  /** All that there is now. */
  readonly snapshot: () => Snapshot;
  /** Applies what it answers to a Synchronize; failures are for the log. */
  readonly update: (updates: readonly ContainerUpdate[]) => Promise<void>;
  readonly log: Logger;
  readonly watch?: CallWatch | undefined;
}

/** A request, and its bytes: many plugins may get the same. */
export interface Question<M extends EventCall> {
  readonly method: M;
  /** What a StateChange needs of it. */
  readonly subject: {
    readonly pod?: PodSandboxInit | null | undefined;
    readonly container?: ContainerInit | null | undefined;
  };
  readonly payload: Buffer;
}

/** RESOURCE_EXHAUSTED when it is longer than a message may be. */
export function question<M extends EventCall>(method: M, request: RequestInit<M>): Question<M> {
  return { method, subject: request, payload: encodeCall(method, request) };
}

export interface AskOptions extends Cancellable {
  /** The operation fails without an answer, whatever the policy. */
  readonly must?: boolean;
}

/**
 * A plugin that takes part. Calls to it go one after the other, in the order in which they are asked for. One that does
 * not answer in time is late: while it owes the answer nobody waits for it. What happens without it, it has missed: as
 * soon as it answers it is synchronized anew.
 */
export class Plugin implements Disposable {
  readonly facts: PluginFacts;
  readonly id: string;
  readonly counts: CallCounts;
  /** Settles when it is gone. */
  readonly gone: Promise<void>;
  readonly #leaving = Promise.withResolvers<void>();
  readonly #needs: PluginNeeds;
  readonly #turns = new Semaphore(1);
  readonly #since = Date.now();
  /** Calls that it does not have. */
  readonly #lacks = new Set<PluginCall>();
  #state: PluginReport["state"] = "joining";
  #reason: string | undefined;
  #isSynchronizing = false;
  #hasMissed = false;
  /** The call that it owes an answer to, and when it is late with it. */
  #owed: { readonly method: PluginCall; readonly due: number } | undefined;
  /** Fires when nobody is to wait for it any longer. */
  #passOver = new AbortController();

  constructor(facts: PluginFacts, needs: PluginNeeds) {
    this.facts = facts;
    this.id = pluginId(facts);
    this.counts = new CallCounts(this.id, needs.watch);
    this.#needs = needs;
    this.gone = this.#leaving.promise;
    void needs.connection.closed.then(() => this.#leave("it has closed its connection"));
  }

  get state(): PluginReport["state"] {
    return this.#state;
  }

  /**
   * Begins to synchronize it: from this turn of the event loop on what happens is queued for it. Settles when it serves,
   * rejects when it is gone.
   */
  async synchronize(): Promise<void> {
    if (this.#isSynchronizing) return;
    this.#isSynchronizing = true;
    try {
      do {
        this.#hasMissed = false;
        this.#isNotLate("joining");
        await this.#synchronizeOnce(this.#needs.snapshot());
      } while (this.#hasMissed);
      this.#isNotLate("serving");
    } catch (error) {
      this.drop(`it cannot be synchronized: ${toFault(error).message}`);
      throw error;
    } finally {
      this.#isSynchronizing = false;
    }
  }

  /**
   * Asks it. Undefined when it has no answer and the operation goes on without it. Otherwise UNAVAILABLE with its name;
   * what it refuses with comes with its name too.
   */
  async ask<M extends EventCall>(
    asked: Question<M>,
    { signal, must = false }: AskOptions,
  ): Promise<Response<M> | undefined> {
    const { method } = asked;
    signal.throwIfAborted();
    if (this.#lacks.has(method) && stateChanges[method] === undefined) return undefined;
    const { requestTimeoutMs, onFailure } = this.#needs.policy();
    const late = fault(
      "DEADLINE_EXCEEDED",
      `it has not answered ${method} within ${requestTimeoutMs / 1000} s`,
    );
    try {
      const turn = await this.#turn(signal);
      using limit = deadline(requestTimeoutMs, late, signal, this.#passOver.signal);
      const answer = await unlessAborted(this.#inTurn(asked, turn), limit.signal);
      this.counts.served(method);
      return answer;
    } catch (error) {
      signal.throwIfAborted();
      this.counts.failed(method);
      if (error instanceof AnsweredFault) {
        throw fault(
          error.code,
          `NRI plugin "${this.id}": ${shortened(error.message, longestReason)}`,
        );
      }
      this.#misses();
      const why = toFault(error);
      if (must || onFailure === "refuse") {
        throw fault("UNAVAILABLE", `NRI plugin "${this.id}" is needed: ${why.message}`, {
          cause: error,
        });
      }
      this.#needs.log.warn(
        { plugin: this.id, call: method, err: why },
        "NRI plugin is passed over",
      );
      return undefined;
    }
  }

  /** Ends its connection; the first reason counts. */
  drop(reason: string): void {
    this.#leave(reason);
    this.#needs.connection[Symbol.dispose]();
  }

  report(): PluginReport {
    const { index, name, kind, version, events } = this.facts;
    return {
      index,
      name,
      kind,
      version,
      state: this.#state,
      reason: this.#reason,
      events: [...events],
      since: this.#since,
      calls: this.counts.report(),
    };
  }

  [Symbol.dispose](): void {
    this.drop("the daemon has stopped");
  }

  /** Who waits behind calls that are answered is not passed over: it is only busy. */
  async #turn(signal: AbortSignal): Promise<Disposable> {
    using queue = deadline(longestQueueMs, "waiting for its turn", signal, this.#passOver.signal);
    return await this.#turns.acquire(queue);
  }

  async #inTurn<M extends EventCall>(
    asked: Question<M>,
    turn: Disposable,
  ): Promise<Response<M> | undefined> {
    using _turn = turn;
    if (!this.#lacks.has(asked.method)) {
      try {
        return await this.#send(asked.method, asked.payload);
      } catch (error) {
        if (!isUnimplemented(error)) throw error;
        this.#lacks.add(asked.method);
      }
    }
    await this.#stateChange(asked);
    return undefined;
  }

  /** For plugins on an older stub. To calls that want an answer they have none. */
  async #stateChange(asked: Question<EventCall>): Promise<void> {
    const event = stateChanges[asked.method];
    if (event === undefined || this.#lacks.has("StateChange")) return;
    const { pod, container } = asked.subject;
    try {
      await this.#send("StateChange", encodeCall("StateChange", { event, pod, container }));
    } catch (error) {
      if (!isUnimplemented(error)) throw error;
      this.#lacks.add("StateChange");
    }
  }

  /** One call, for as long as it takes. It is late after its time, and the plugin is gone after thirty seconds. */
  async #send<M extends PluginCall>(method: M, payload: Uint8Array): Promise<Response<M>> {
    const { requestTimeoutMs } = this.#needs.policy();
    const limitMs = (method === "Synchronize" ? synchronizeTimes : 1) * requestTimeoutMs;
    const began = performance.now();
    this.#owed = { method, due: began + limitMs };
    using _late = startTimer(() => this.#isLate(), limitMs);
    const debtMs = Math.max(longestDebtMs, 2 * limitMs);
    using _end = startTimer(() => this.#owes(method, debtMs), debtMs);
    try {
      const answer = await this.#needs.connection.call(method, payload);
      this.counts.answered(method, performance.now() - began);
      this.#isBack();
      return answer;
    } catch (error) {
      if (error instanceof AnsweredFault) {
        this.counts.answered(method, performance.now() - began);
        this.#isBack();
      } else this.drop(toFault(error).message);
      throw error;
    } finally {
      this.#owed = undefined;
    }
  }

  async #synchronizeOnce(snapshot: Snapshot): Promise<void> {
    const updates = await this.#tellAll(snapshot, await this.#turns.acquire());
    if (updates.length > 0) {
      this.counts.adjusted("Synchronize");
      await this.#needs.update(updates);
    }
  }

  async #tellAll(snapshot: Snapshot, turn: Disposable): Promise<readonly ContainerUpdate[]> {
    using _turn = turn;
    const leftOut = (why: object): void =>
      this.#needs.log.error({ plugin: this.id, ...why }, "NRI plugin is not told of a container");
    for await (const { payload, more } of synchronizeParts(snapshot, leftOut)) {
      const answer = await this.#send("Synchronize", payload);
      if (!more) return answer.update;
      if (!answer.more || answer.update.length > 0) {
        throw fault("FAILED_PRECONDITION", "it does not take a Synchronize in parts");
      }
    }
    return [];
  }

  #isLate(): void {
    if (this.#state === "late" || this.#state === "gone" || this.#owed === undefined) return;
    const { method } = this.#owed;
    this.#reason = `it has not answered ${method} in time`;
    this.#becomes("late");
    this.#needs.log.warn(
      { plugin: this.id, call: method },
      "NRI plugin is late: it is passed over",
    );
    this.#passOver.abort(fault("UNAVAILABLE", this.#reason));
  }

  /** It has answered: the next that is asked for waits for it again. */
  #isBack(): void {
    this.#owed = undefined;
    if (this.#state !== "late") return;
    this.#reason = undefined;
    this.#passOver = new AbortController();
    if (this.#isSynchronizing) {
      this.#becomes("joining"); // and is synchronized again where something was missed
      return;
    }
    if (!this.#hasMissed) {
      this.#becomes("serving"); // who asked had given up
      return;
    }
    this.#becomes("joining");
    this.#needs.log.info({ plugin: this.id }, "NRI plugin has answered: it is synchronized anew");
    // Its failure drops the plugin, and is in the log.
    this.synchronize().catch(() => {});
  }

  /** Something has happened without it. */
  #misses(): void {
    this.#hasMissed = true;
    // The operation that it was for may have given up first.
    if (this.#owed !== undefined && performance.now() >= this.#owed.due - timersMs) this.#isLate();
    if (this.#state === "late" || this.#state === "gone") return;
    // Its failure drops the plugin, and is in the log.
    this.synchronize().catch(() => {});
  }

  #owes(method: PluginCall, debtMs: number): void {
    // Nothing is made without a validator's answer: it goes, whatever it wishes.
    const isValidator = this.facts.events.has("ValidateContainerAdjustment");
    if (this.facts.keepConnected && !isValidator) return;
    this.drop(`it has not answered ${method} within ${debtMs / 1000} s`);
  }

  /** Late it stays until it answers: only that has others wait for it again. */
  #isNotLate(state: PluginReport["state"]): void {
    if (this.#state !== "late") this.#becomes(state);
  }

  #becomes(state: PluginReport["state"]): void {
    if (this.#state !== "gone") this.#state = state;
  }

  #leave(reason: string): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    this.#reason = reason;
    const why: RuntimeFault = fault("UNAVAILABLE", reason);
    this.#passOver.abort(why);
    this.#needs.log.error({ plugin: this.id, reason }, "NRI plugin is gone");
    this.#leaving.resolve();
  }
}

function isUnimplemented(error: unknown): boolean {
  return error instanceof AnsweredFault && error.code === "UNIMPLEMENTED";
}
