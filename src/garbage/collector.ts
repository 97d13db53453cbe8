// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { timeLimit } from "../base/deadline.ts";
import type { Logger } from "../base/logger.ts";
import { startTimer, type Timer } from "../base/timers.ts";
import { contentTable } from "../content/blob-record.ts";
import type { ContentInfo, ContentStore } from "../content/ports.ts";
import { expiryOf, type Leases, type Resource } from "../metadata/leases.ts";
import type { MetadataStore, RecordTable } from "../metadata/ports.ts";
import { containersTable } from "../metadata/records.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import { CollectionGate } from "./collection-gate.ts";
import { type GarbageStores, markReachable } from "./mark.ts";
import type { GarbageCollector } from "./ports.ts";
import { sweep } from "./sweep.ts";

export interface CollectorOptions {
  readonly metadata: MetadataStore;
  readonly content: ContentStore;
  readonly images: GarbageStores["images"];
  /** By name. */
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  readonly leases: Leases;
  readonly log: Logger;
}

/** From a deletion to the collection that follows, since deletions usually come several in a row. */
const settleMs = 100;
/** How long until it is tried again after a call has held it off. */
const retryMs = 2_000;
/** From the daemon's start, when more urgent work is done, to the first collection. */
const startMs = 10_000;
const longestMs = 10 * 60_000;

/** The collector over the daemon's stores. Disposing it ends the collection that runs. */
export class Collector implements GarbageCollector, AsyncDisposable {
  readonly #stores: GarbageStores;
  readonly #blobs: RecordTable<ContentInfo>;
  readonly #log: Logger;
  readonly #gates = new Map<string, CollectionGate>();
  readonly #roots = new Map<string, (() => Iterable<Resource>)[]>();
  readonly #timers = new Map<string, Timer>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();

  constructor({ metadata, content, images, snapshotters, leases, log }: CollectorOptions) {
    const containers = containersTable(metadata);
    this.#stores = { content, snapshotters, leases, images, containers };
    this.#blobs = contentTable(metadata);
    this.#log = log;
  }

  hold(namespace: string, call: Cancellable): Promise<Disposable> {
    return this.#gateOf(namespace).enter(call);
  }

  addRoots(namespace: string, roots: () => Iterable<Resource>): void {
    const known = this.#roots.get(namespace) ?? [];
    this.#roots.set(namespace, [...known, roots]);
  }

  schedule(namespace: string): void {
    this.#arm(namespace, settleMs);
  }

  scheduleAll(): void {
    const namespaces = new Set(this.#blobs.entries().map(({ namespace }) => namespace));
    for (const namespace of namespaces) this.#arm(namespace, startMs);
  }

  async collect(
    namespace: string,
    { patienceMs = 0, signal }: { readonly patienceMs?: number } & Cancellable,
  ): Promise<boolean> {
    const gate = this.#gateOf(namespace);
    const call = { signal: AbortSignal.any([signal, this.#closing.signal]) };
    using patience = timeLimit(patienceMs, call.signal);
    for (;;) {
      call.signal.throwIfAborted();
      if (await gate.collect(() => this.#collect(namespace, call), call)) return true;
      if (patienceMs > 0) await gate.idle(patience);
      if (patienceMs > 0 && !patience.signal.aborted) continue;
      this.#arm(namespace, retryMs);
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    for (const timer of this.#timers.values()) timer.stop();
    this.#timers.clear();
    await Promise.allSettled(this.#running);
  }

  async #collect(namespace: string, call: Cancellable): Promise<void> {
    const startedAt = performance.now();
    const nowMs = Date.now();
    const extra = (this.#roots.get(namespace) ?? []).flatMap((roots) => [...roots()]);
    const marks = markReachable(this.#stores, namespace, extra, nowMs);
    const swept = await sweep(this.#stores, namespace, { marks, nowMs }, call);
    if (Object.values(swept).some((count) => count > 0)) {
      const durationMs = Math.round(performance.now() - startedAt);
      this.#log.info({ namespace, ...swept, durationMs }, "garbage collected");
    }
    this.#armForExpiry(namespace);
  }

  /** Schedules a collection for when the next lease expires: no deletion would bring one about. */
  #armForExpiry(namespace: string): void {
    const ends = this.#stores.leases.list(namespace).map(expiryOf);
    const next = Math.min(...ends.filter((end) => end !== undefined));
    if (next !== Infinity && !this.#timers.has(namespace)) {
      this.#arm(namespace, Math.min(Math.max(next - Date.now(), settleMs), longestMs));
    }
  }

  #arm(namespace: string, delayMs: number): void {
    if (this.#closing.signal.aborted) return;
    this.#timers.get(namespace)?.stop();
    const timer = startTimer(() => {
      this.#timers.delete(namespace);
      const run = this.#collectInBackground(namespace).finally(() => this.#running.delete(run));
      this.#running.add(run);
    }, delayMs);
    this.#timers.set(namespace, timer.unref());
  }

  async #collectInBackground(namespace: string): Promise<void> {
    try {
      using limit = timeLimit(longestMs);
      await this.collect(namespace, limit);
    } catch (err) {
      if (!this.#closing.signal.aborted) this.#log.warn({ namespace, err }, "collection failed");
    }
  }

  #gateOf(namespace: string): CollectionGate {
    let gate = this.#gates.get(namespace);
    if (!gate) {
      gate = new CollectionGate();
      this.#gates.set(namespace, gate);
    }
    return gate;
  }
}
