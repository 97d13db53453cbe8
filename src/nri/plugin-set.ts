// SPDX-License-Identifier: Apache-2.0

import type { Duplex } from "node:stream";
import { setImmediate as loopTurn } from "node:timers/promises";
import { type Cancellable, cleanupDeadline } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { fault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { mapAtOnce } from "../base/map-at-once.ts";
import { shortened } from "../base/shortened.ts";
import { unlessAborted } from "../base/waits.ts";
import { type EventCall, subscribed } from "./calls.ts";
import { encodeCall, PluginConnection } from "./connection.ts";
import type {
  ContainerEviction,
  ContainerInit,
  ContainerUpdate,
  FailurePolicy,
  PodSandboxInit,
} from "./messages.ts";
import { Pending } from "./pending.ts";
import { PendingUpdates } from "./pending-updates.ts";
import { Plugin, type PluginPolicy } from "./plugin.ts";
import { type PluginName, pluginId } from "./plugin-name.ts";
import type { CallWatch, NodeState, PluginReport } from "./ports.ts";
import type { NriSettings } from "./settings.ts";
import type { Snapshot } from "./synchronize-parts.ts";
import { Unsolicited } from "./unsolicited.ts";

/** The version of NRI that is spoken: plugins take what they may do from it. */
const nriVersion = "v0.12.5";
/** Plugins that are gone, of which `list` still tells. */
const mostGone = 32;
/** Of what it says about an eviction. */
const longestReason = 1024;
/** One that does not even end by SIGKILL takes half a minute, and others do not wait for it. */
const evictedAtOnce = 4;
/** How long what a plugin wants at its Synchronize may take. */
const updatesMs = 120_000;

export interface PluginSetNeeds {
  /** As the configuration says now. */
  readonly settings: () => NriSettings;
  readonly node: NodeState;
  /** What plugins are told about this runtime. */
  readonly runtime: { readonly name: string; readonly version: string };
  readonly log: Logger;
  readonly watch?: CallWatch | undefined;
  /** What has begun before there was this set. */
  readonly pending?: PendingObjects;
}

/** Pods and containers that are not shown yet. */
export interface PendingObjects {
  readonly pods: Pending<PodSandboxInit>;
  readonly containers: Pending<ContainerInit>;
}

/** Where a plugin comes from. */
export interface Origin {
  readonly kind: "external" | "launched";
  /** A launched one is called by its file's name, whatever it says itself. */
  readonly name?: PluginName;
  readonly config?: string;
}

/** The plugins that take part, by index; they come here with their connection. */
export class PluginSet implements Disposable {
  readonly pods: PendingObjects["pods"];
  readonly containers: PendingObjects["containers"];
  readonly #needs: PluginSetNeeds;
  readonly #gone: PluginReport[] = [];
  /** What plugins want of containers that are being made. */
  readonly pendingUpdates: PendingUpdates;
  readonly #life = new AbortController();
  #plugins: readonly Plugin[] = [];

  constructor(needs: PluginSetNeeds) {
    this.#needs = needs;
    const { node, log } = needs;
    const { pods, containers } = needs.pending ?? noneYet();
    this.pods = pods;
    this.containers = containers;
    this.pendingUpdates = new PendingUpdates({ node, containers, log, life: this.#life.signal });
  }

  get size(): number {
    return this.#plugins.length;
  }

  /** All that take part now, in the order in which they are asked. */
  all(): readonly Plugin[] {
    return this.#plugins;
  }

  /** Those that have subscribed a call, likewise. */
  wanting(call: EventCall): readonly Plugin[] {
    return this.#plugins.filter(({ facts }) => facts.events.has(call));
  }

  /** Whether one called so (`name` or `10-name`) takes part. */
  has(name: string): boolean {
    return this.#plugins.some(({ id, facts }) => id === name || facts.name === name);
  }

  /** Why the last one called so went; undefined when none has. */
  reasonOf(name: string): string | undefined {
    return this.#gone.findLast((report) => name === report.name || name === pluginId(report))
      ?.reason;
  }

  list(): readonly PluginReport[] {
    const reports = [...this.#plugins.map((plugin) => plugin.report()), ...this.#gone];
    return reports.sort((a, b) => (a.index < b.index ? -1 : a.index > b.index ? 1 : 0));
  }

  /**
   * Takes a connection in: registers its plugin, configures and synchronizes it. Settles when it takes part. Rejects, with
   * the connection closed, when that is not to be.
   */
  async admit(socket: Duplex, origin: Origin, call: Cancellable): Promise<Plugin> {
    const { node, log } = this.#needs;
    const unsolicited = new Unsolicited({
      node,
      pending: this.pendingUpdates,
      evict: (plugin, evictions, own) => this.evict(evictionsOf(plugin, evictions), own),
      log,
    });
    const named = Promise.withResolvers<string>();
    const connection: PluginConnection = new PluginConnection(socket, {
      update: async (request, own) =>
        unsolicited.take(await unlessAborted(named.promise, own.signal), request, own),
      log,
    });
    try {
      const introduced = await this.#introduce({ connection, unsolicited, named }, origin, call);
      const { plugin, synchronized } = introduced;
      await unlessAborted(synchronized, call.signal);
      log.info({ plugin: plugin.id, kind: origin.kind }, "NRI plugin takes part");
      return plugin;
    } catch (error) {
      await loopTurn(); // what it is refused with goes first
      connection[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#life.abort(fault("UNAVAILABLE", "the daemon has stopped"));
    for (const plugin of this.#plugins) plugin[Symbol.dispose]();
  }

  /**
   * Stops containers that plugins want gone, with what `evictionsOf` says; the first reason counts. One that cannot be
   * stopped is for the log.
   */
  async evict(evictions: readonly ContainerEviction[], call: Cancellable): Promise<void> {
    const { node, log } = this.#needs;
    if (evictions.length === 0) return;
    const pending = this.containers.byId();
    const first = new Map<string, string>();
    for (const { containerId, reason } of evictions)
      if (!first.has(containerId)) first.set(containerId, reason);
    await mapAtOnce([...first], evictedAtOnce, async ([container, reason]) => {
      try {
        if (pending.has(container)) {
          throw fault("FAILED_PRECONDITION", `container "${container}" is being made`);
        }
        await node.evict(container, reason, call);
      } catch (err) {
        call.signal.throwIfAborted();
        log.warn({ container, err }, "container that an NRI plugin evicts cannot be stopped");
      }
    });
  }

  async #introduce(
    { connection, unsolicited, named }: Newcomer,
    origin: Origin,
    { signal }: Cancellable,
  ): Promise<{ readonly plugin: Plugin; readonly synchronized: Promise<void> }> {
    const { settings, runtime, log, watch } = this.#needs;
    const { registrationTimeoutMs } = settings();
    using limit = deadline(registrationTimeoutMs, "registration of an NRI plugin", signal);
    const said = await connection.registered(limit);
    const name = origin.name ?? { index: said.pluginIdx, name: said.pluginName };
    named.resolve(pluginId(name));
    await loopTurn(); // it has its answer before the next call
    const request = encodeCall("Configure", {
      config: origin.config ?? "",
      runtimeName: runtime.name,
      runtimeVersion: runtime.version,
      registrationTimeout: registrationTimeoutMs,
      requestTimeout: this.#policy(name, null).requestTimeoutMs,
      NRIVersion: nriVersion,
    });
    const answer = connection.call("Configure", request);
    const { events, failurePolicy } = await unlessAborted(answer, limit.signal);
    const version = said.NRIVersion === "" ? "unknown" : said.NRIVersion.slice(0, 64);
    const facts = {
      ...name,
      kind: origin.kind,
      version,
      events: subscribed(events),
      keepConnected: failurePolicy?.keepConnected === true,
    };
    this.#life.signal.throwIfAborted();
    const plugin = new Plugin(facts, {
      connection,
      policy: () => this.#policy(name, failurePolicy),
      snapshot: () => this.#snapshot(),
      update: (updates) => this.#applySynchronized(unsolicited, pluginId(name), updates),
      log,
      watch,
    });
    this.#add(plugin);
    // In the same turn: what happened in between would be told to it first.
    const synchronized = plugin.synchronize();
    synchronized.catch(() => {}); // admit has it next
    return { plugin, synchronized };
  }

  #add(plugin: Plugin): void {
    // Those of the same index in the order in which they came.
    this.#plugins = [...this.#plugins, plugin].sort((a, b) =>
      a.facts.index < b.facts.index ? -1 : a.facts.index > b.facts.index ? 1 : 0,
    );
    void plugin.gone.then(() => {
      this.#plugins = this.#plugins.filter((other) => other !== plugin);
      if (this.#gone.push(plugin.report()) > mostGone) this.#gone.shift();
    });
  }

  #policy(name: PluginName, own: FailurePolicy | null): PluginPolicy {
    const settings = this.#needs.settings();
    const names = [pluginId(name), name.name];
    const listed = settings.plugins;
    const said = names.map((key) => (Object.hasOwn(listed, key) ? listed[key] : undefined));
    const isRequired = names.some((key) => settings.required.includes(key));
    return {
      requestTimeoutMs:
        said.find((each) => each?.requestTimeoutMs !== undefined)?.requestTimeoutMs ??
        settings.requestTimeoutMs,
      onFailure:
        said.find((each) => each?.onFailure !== undefined)?.onFailure ??
        (isRequired ? "refuse" : settings.onFailure) ??
        (own?.failRequest === true ? "refuse" : "continue"),
    };
  }

  #snapshot(): Snapshot {
    const { node } = this.#needs;
    return {
      pods: this.pods.with(node.pods()),
      containers: this.containers.with(node.containers()),
    };
  }

  async #applySynchronized(
    unsolicited: Unsolicited,
    plugin: string,
    updates: readonly ContainerUpdate[],
  ): Promise<void> {
    const { log } = this.#needs;
    try {
      const call = { signal: AbortSignal.any([cleanupDeadline(updatesMs), this.#life.signal]) };
      const failed = await unsolicited.synchronized(plugin, updates, call);
      if (failed > 0) log.warn({ plugin, failed }, "updates of an NRI plugin cannot be applied");
    } catch (err) {
      log.warn({ plugin, err }, "updates of an NRI plugin cannot be applied");
    }
  }
}

/** A connection that has not said yet whose it is. */
interface Newcomer {
  readonly connection: PluginConnection;
  readonly unsolicited: Unsolicited;
  /** What it is called. */
  readonly named: PromiseWithResolvers<string>;
}

/** What a plugin wants gone, with its name in the reason: whoever looks at the container shall see whose will it was. */
export function evictionsOf(
  plugin: string,
  evictions: readonly ContainerEviction[],
): ContainerEviction[] {
  return evictions.map(({ containerId, reason }) => ({
    containerId,
    reason: `NRI plugin "${plugin}": ${shortened(reason, longestReason) || "it gives no reason"}`,
  }));
}

function noneYet(): PendingObjects {
  return { pods: new Pending(), containers: new Pending() };
}
