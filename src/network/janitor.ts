// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "../base/cancellable.ts";
import type { Logger } from "../base/logger.ts";
import type { QuietGate } from "../base/quiet-gate.ts";
import { startTimer, type Timer, timeoutSignal } from "../base/timers.ts";
import type { NetworkConf } from "./conf.ts";
import { collectGarbage, takesGc, type ValidAttachment } from "./node-verbs.ts";
import type { NetworkRecord, ResultCache } from "./result-cache.ts";

/** Pods wait for a collection that runs, so it must be short, also where a plugin hangs. */
const defaultGcMs = 10_000;
/** How long a round waits for a moment in which no network is set up or taken down. */
const patienceMs = 600_000;
const firstRetryMs = 60_000;
const lastRetryMs = 3_600_000;

export interface JanitorOptions {
  readonly cache: ResultCache;
  readonly gate: QuietGate;
  readonly binDirs: () => readonly string[];
  readonly log: Logger;
  /** The networks in use. */
  readonly networks: () => readonly (NetworkConf & { readonly ifName: string })[];
  /** DEL by the record, and the record's end. */
  readonly takeDown: (record: NetworkRecord, call: Cancellable) => Promise<void>;
  readonly firstRetryMs?: number;
  readonly gcMs?: number;
}

/**
 * Gives back what sandboxes hold whose DEL never succeeded: by DEL, tried again more and more rarely, and by GC (CNI
 * 1.1), which tells plugins what is still in use. What it cannot do now stays on the disk for the next attempt or the
 * next daemon.
 */
export class Janitor implements AsyncDisposable {
  readonly #options: JanitorOptions;
  readonly #end = new AbortController();
  #holders: (() => Iterable<string>) | undefined;
  #timer: Timer | undefined;
  #retryMs: number;
  #round: Promise<void> | undefined;

  constructor(options: JanitorOptions) {
    this.#options = options;
    this.#retryMs = options.firstRetryMs ?? firstRetryMs;
  }

  /** Begins a round. `holders` are all sandboxes that have a network, also those without a record here. */
  start(holders: () => Iterable<string>): void {
    this.#holders = holders;
    this.#begin();
  }

  /** From now on nobody waits for this sandbox's DEL; the janitor goes on trying. */
  async abandon(sandboxId: string): Promise<void> {
    const { cache } = this.#options;
    const record = await cache.get(sandboxId);
    if (record === undefined) return;
    await cache.put({ ...record, abandoned: true });
    this.#retryMs = this.#options.firstRetryMs ?? firstRetryMs;
    this.#schedule();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    this.#timer?.stop();
    await this.#round;
  }

  #schedule(): void {
    this.#timer?.stop();
    if (this.#end.signal.aborted || this.#holders === undefined) return;
    this.#timer = startTimer(() => this.#begin(), this.#retryMs);
    this.#timer.unref();
    this.#retryMs = Math.min(this.#retryMs * 2, lastRetryMs);
  }

  #begin(): void {
    if (this.#round !== undefined || this.#end.signal.aborted) return;
    this.#round = this.#work()
      .catch((err: unknown) => {
        if (!this.#end.signal.aborted) this.#options.log.error({ err }, "CNI clean-up failed");
      })
      .finally(() => {
        this.#round = undefined;
      });
  }

  async #work(): Promise<void> {
    const { cache, gate, log, networks, takeDown } = this.#options;
    const call = { signal: this.#end.signal };
    const orphans = (await cache.all()).records.filter(({ abandoned }) => abandoned);
    for (const record of orphans) {
      try {
        await takeDown(record, call);
        log.info({ sandbox: record.sandboxId }, "network of a removed pod taken down at last");
      } catch (err) {
        call.signal.throwIfAborted();
        log.debug({ err, sandbox: record.sandboxId }, "network of a removed pod is still up");
      }
    }
    let isDone = true;
    if (networks().some(takesGc)) {
      const patience = AbortSignal.any([call.signal, timeoutSignal(patienceMs)]);
      try {
        await gate.whenQuiet(() => this.#collect(call), { signal: patience });
      } catch (err) {
        call.signal.throwIfAborted();
        log.warn({ err }, "CNI GC put off: pods came and went all the time");
        isDone = false;
      }
    }
    const { records } = await cache.all();
    if (!isDone || records.some(({ abandoned }) => abandoned)) this.#schedule();
  }

  /** Runs while no pod's network is set up or taken down. */
  async #collect({ signal }: Cancellable): Promise<void> {
    const { binDirs, cache, gcMs = defaultGcMs, log, networks } = this.#options;
    const { records, unreadable } = await cache.all();
    if (unreadable.length > 0) {
      // It is not known whose they are, and GC would take the network from pods that run.
      log.warn({ records: unreadable }, "CNI GC left out: unreadable records");
      return;
    }
    const limit = { signal: AbortSignal.any([signal, timeoutSignal(gcMs)]) };
    const cleaned = new Set<string>();
    await Promise.all(
      networks()
        .filter(takesGc)
        .map(async (conf) => {
          const valid = this.#validIn(conf, records);
          try {
            await collectGarbage(conf, valid, { binDirs: binDirs(), timeoutMs: gcMs }, limit);
            cleaned.add(conf.name);
            log.debug({ network: conf.name, attachments: valid.length }, "CNI GC done");
          } catch (err) {
            log.warn({ err, network: conf.name }, "CNI GC failed");
          }
        }),
    );
    for (const { abandoned, attachments, sandboxId } of records) {
      if (abandoned && attachments.every(({ name }) => cleaned.has(name))) {
        await cache.remove(sandboxId);
      }
    }
  }

  #validIn(
    conf: NetworkConf & { readonly ifName: string },
    records: readonly NetworkRecord[],
  ): ValidAttachment[] {
    const onRecord = records
      .filter(({ abandoned }) => !abandoned)
      .flatMap(({ attachments, sandboxId }) =>
        attachments
          .filter(({ name }) => name === conf.name)
          .map(({ ifName }) => ({ containerID: sandboxId, ifname: ifName })),
      );
    const recorded = new Set(records.map(({ sandboxId }) => sandboxId));
    // Pods whose record was lost may have been set up as the configuration says now.
    const others = [...(this.#holders?.() ?? [])]
      .filter((id) => !recorded.has(id))
      .map((id) => ({ containerID: id, ifname: conf.ifName }));
    return [...onRecord, ...others];
  }
}
