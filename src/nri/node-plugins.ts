// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import { KeyedMutex } from "../base/keyed-mutex.ts";
import type { Logger } from "../base/logger.ts";
import { shortened } from "../base/shortened.ts";
import { allSettled } from "../base/waits.ts";
import { codec } from "../rpc/codec.ts";
import type { EventCall } from "./calls.ts";
import type { RequestInit, Response } from "./connection.ts";
import { CreationMerge } from "./merge/creation-merge.ts";
import { toleratesMissing } from "./merge/required-plugins.ts";
import { UpdateMerge } from "./merge/update-merge.ts";
import type { ValidatorRules } from "./merge/validator-rules.ts";
import type {
  ContainerAdjustment,
  ContainerEviction,
  ContainerUpdate,
  CreateContainerRequestInit,
  PodSandbox,
  PodSandboxInit,
  StopContainerRequestInit,
  UpdateContainerRequestInit,
  UpdatePodSandboxRequestInit,
  ValidateContainerAdjustmentRequest,
  ValidateContainerAdjustmentRequestInit,
} from "./messages.ts";
import { once } from "./once.ts";
import type { Entry } from "./pending.ts";
import { type Plugin, type Question, question } from "./plugin.ts";
import { evictionsOf, type PluginSet } from "./plugin-set.ts";
import type {
  Creation,
  MissingPlugin,
  NodePlugins,
  PluginReport,
  Told,
  UpdateOutcome,
} from "./ports.ts";
import { asksWithoutPlugins, type NriSettings, requiredPlugins } from "./settings.ts";

/** The built-in validator. FAILED_PRECONDITION for what the rules refuse. */
export type Validate = (rules: ValidatorRules, request: ValidateContainerAdjustmentRequest) => void;

export interface NodePluginsNeeds {
  readonly set: PluginSet;
  readonly settings: () => NriSettings;
  readonly validate: Validate;
  readonly log: Logger;
}

/**
 * Asks the plugins of a set, one after the other by their index, and makes one answer of theirs. What happens to one pod,
 * or to one container, is told to all of them before the next that happens to it is told to any.
 */
export class AskedPlugins implements NodePlugins {
  readonly #needs: NodePluginsNeeds;
  /** By the ids of pods and containers. Held while plugins are asked, and not while what they answered is done. */
  readonly #events = new KeyedMutex();

  constructor(needs: NodePluginsNeeds) {
    this.#needs = needs;
  }

  get active(): boolean {
    return this.#needs.set.size > 0 || asksWithoutPlugins(this.#needs.settings());
  }

  async createContainer(
    request: () => CreateContainerRequestInit,
    call: Cancellable,
  ): Promise<Creation> {
    const { set } = this.#needs;
    // Who joins after this turn is told of it by its Synchronize, and is not asked.
    const plugins = set.all();
    const made = once(request);
    const pending = set.containers.add(() => made().container);
    const end = { [Symbol.dispose]: () => pending[Symbol.dispose]() };
    if (!this.active) return { adjust: undefined, updates: [], owners: undefined, ...end };
    try {
      const original = codec("nri.pkg.api.v1alpha1.CreateContainerRequest").normalize(made());
      this.#checkRequired(original.pod, original.container?.name ?? "");
      const merge = new CreationMerge(original);
      pending.make = () => merge.request.container;
      const evictions: ContainerEviction[][] = [];
      for (const plugin of plugins.filter(wants("CreateContainer"))) {
        using _asked = pending.asks(plugin.id);
        const answer = await plugin.ask(question("CreateContainer", merge.request), call);
        if (answer === undefined) continue;
        blaming(plugin, "CreateContainer", () => merge.add(plugin.id, answer));
        if (isChange(answer.adjust) || answer.update.length > 0) {
          plugin.counts.adjusted("CreateContainer");
        }
        evictions.push(evictionsOf(plugin.id, answer.evict));
      }
      const { adjust, updates, owners } = merge.result();
      // Without those that were passed over: a rule that requires them is not met.
      const instances = plugins
        .filter(({ state }) => state !== "late" && state !== "gone")
        .map(({ facts: { name, index } }) => ({ name, index }));
      const { pod, container } = original;
      await this.#validate(
        { plugins, pending },
        { pod, container, adjust, update: updates, owners, plugins: instances },
        call,
      );
      await set.evict(evictions.flat(), call);
      return { adjust, updates: this.#now(updates), owners, ...end };
    } catch (error) {
      pending.cancel();
      throw error;
    }
  }

  async runPodSandbox(pod: () => PodSandboxInit, call: Cancellable): Promise<Disposable> {
    const made = once(pod);
    const pending = this.#needs.set.pods.add(made);
    try {
      await this.#tellAll("RunPodSandbox", () => ({ pod: made() }), call);
      return pending;
    } catch (error) {
      pending.cancel();
      throw error;
    }
  }

  async updateContainer(
    request: () => UpdateContainerRequestInit,
    call: Cancellable,
  ): Promise<UpdateOutcome> {
    const { set } = this.#needs;
    const plugins = set.wanting("UpdateContainer");
    if (plugins.length === 0) return { resources: undefined, updates: [] };
    const type = codec("nri.pkg.api.v1alpha1.UpdateContainerRequest");
    const original = type.normalize(request());
    const merge = new UpdateMerge(original);
    const evictions: ContainerEviction[][] = [];
    await this.#inTurn(original, call, async () => {
      for (const plugin of plugins) {
        const asked = question("UpdateContainer", merge.request ?? {});
        const answer = await plugin.ask(asked, call);
        if (answer === undefined) continue;
        this.#addUpdates(
          plugin,
          "UpdateContainer",
          () => merge.add(plugin.id, answer.update, answer.evict),
          answer,
        );
        evictions.push(evictionsOf(plugin.id, answer.evict));
      }
    });
    await set.evict(evictions.flat(), call);
    const { resources, updates } = merge.result();
    return { resources, updates: this.#now(updates) };
  }

  async updatePodSandbox(
    request: () => UpdatePodSandboxRequestInit,
    call: Cancellable,
  ): Promise<void> {
    await this.#tellAll("UpdatePodSandbox", request, call);
  }

  async stopContainer(
    request: () => StopContainerRequestInit,
    call: Cancellable,
  ): Promise<readonly ContainerUpdate[]> {
    const plugins = this.#needs.set.wanting("StopContainer");
    if (plugins.length === 0) return [];
    const merge = new UpdateMerge(undefined);
    const asked = question("StopContainer", request());
    const add = async (plugin: Plugin): Promise<void> => {
      const answer = await plugin.ask(asked, call);
      if (answer === undefined) return;
      this.#addUpdates(plugin, "StopContainer", () => merge.add(plugin.id, answer.update), answer);
    };
    const failed = await this.#inTurn(asked.subject, call, () => eachTold(plugins, call, add));
    if (failed) this.#refusesNews("StopContainer", failed.error);
    return this.#now(merge.result().updates);
  }

  async tell({ kind, pod, container }: Told, call: Cancellable): Promise<void> {
    const about = () => ({ pod: pod(), container: container?.() });
    if (kind === "StartContainer") return this.#tellAll(kind, about, call);
    try {
      const plugins = this.#needs.set.wanting(kind);
      if (plugins.length === 0) return;
      const asked = question(kind, about());
      const failed = await this.#inTurn(asked.subject, call, () =>
        eachTold(plugins, call, (plugin) => plugin.ask(asked, call)),
      );
      if (failed) throw failed.error;
    } catch (err) {
      call.signal.throwIfAborted();
      this.#refusesNews(kind, err);
    }
  }

  list(): readonly PluginReport[] {
    return this.#needs.set.list();
  }

  missing(): readonly MissingPlugin[] {
    const { set, settings } = this.#needs;
    return requiredPlugins(settings())
      .filter((name) => !set.has(name))
      .map((name) => ({ name, reason: set.reasonOf(name) ?? "" }));
  }

  async #tellAll<M extends EventCall>(
    method: M,
    request: () => RequestInit<M>,
    call: Cancellable,
  ): Promise<void> {
    const plugins = this.#needs.set.wanting(method);
    if (plugins.length === 0) return;
    const asked: Question<M> = question(method, request());
    await this.#inTurn(asked.subject, call, async () => {
      for (const plugin of plugins) await plugin.ask(asked, call);
    });
  }

  /** Asks when what has happened before to the same pod or container has been told to all. */
  async #inTurn<T>(
    { pod, container }: Question<EventCall>["subject"],
    call: Cancellable,
    ask: () => Promise<T>,
  ): Promise<T> {
    const id = container?.id ?? pod?.id ?? "";
    // At once where it can be: what happens to others keeps its order too, then.
    using _turn = this.#events.tryLock(id) ?? (await this.#events.lock(id, call));
    return await ask();
  }

  #refusesNews(call: EventCall, err: unknown): void {
    this.#needs.log.warn({ call, err }, "NRI plugin refuses what it is only told of");
  }

  #addUpdates(
    plugin: Plugin,
    method: EventCall,
    add: () => void,
    { update }: Response<"StopContainer">,
  ): void {
    blaming(plugin, method, add);
    if (update.length > 0) plugin.counts.adjusted(method);
  }

  /** Those of containers that are. The rest is applied once these are made, and waited for by nobody. */
  #now(updates: readonly ContainerUpdate[]): readonly ContainerUpdate[] {
    const { pendingUpdates } = this.#needs.set;
    const { now, later } = pendingUpdates.split(updates);
    pendingUpdates.applyLater(undefined, later);
    return now;
  }

  /** UNAVAILABLE by the name of a plugin that must be there, unless the pod bears with that. */
  #checkRequired(pod: PodSandbox | null, container: string): void {
    const { required, tolerateMissingPluginsAnnotation: toleration } = this.#needs.settings();
    const missing = required.find((name) => !this.#needs.set.has(name));
    if (missing === undefined || toleratesMissing(toleration, pod, container)) return;
    throw fault(
      "UNAVAILABLE",
      `required NRI plugin "${missing}" is not connected: see "required" in [nri] of the configuration`,
    );
  }

  /** All validators at once, ours first: each can refuse, and so does one that does not answer. */
  async #validate(
    { plugins, pending }: { readonly plugins: readonly Plugin[]; readonly pending: Entry<object> },
    request: ValidateContainerAdjustmentRequestInit,
    call: Cancellable,
  ): Promise<void> {
    const { validate, settings } = this.#needs;
    const { defaultValidator } = settings();
    // One that has gone while the container was made is asked, too: a check that is passed over is none.
    const validators = plugins.filter(wants("ValidateContainerAdjustment"));
    if (defaultValidator === undefined && validators.length === 0) return;
    if (defaultValidator !== undefined) {
      const name = "nri.pkg.api.v1alpha1.ValidateContainerAdjustmentRequest";
      validate(defaultValidator, codec(name).normalize(request));
    }
    if (validators.length === 0) return;
    const asked = question("ValidateContainerAdjustment", request);
    await allSettled(
      validators.map(async (plugin) => {
        using _asked = pending.asks(plugin.id);
        const answer = await plugin.ask(asked, { ...call, must: true });
        if (answer?.reject !== true) return;
        plugin.counts.failed("ValidateContainerAdjustment");
        const reason = shortened(answer.reason, 1024) || "it gives no reason";
        throw fault("FAILED_PRECONDITION", `NRI validator "${plugin.id}" refuses: ${reason}`);
      }),
    );
  }
}

/** Each of them, whatever becomes of the others; the first error. Throws only when the call is over. */
async function eachTold(
  plugins: readonly Plugin[],
  { signal }: Cancellable,
  tell: (plugin: Plugin) => Promise<unknown>,
): Promise<{ readonly error: unknown } | undefined> {
  let first: { readonly error: unknown } | undefined;
  for (const plugin of plugins) {
    try {
      await tell(plugin);
    } catch (error) {
      signal.throwIfAborted();
      first ??= { error };
    }
  }
  return first;
}

const wants =
  (call: EventCall) =>
  (plugin: Plugin): boolean =>
    plugin.facts.events.has(call);

function isChange(adjust: ContainerAdjustment | null): boolean {
  if (adjust === null) return false;
  return codec("nri.pkg.api.v1alpha1.ContainerAdjustment").encode(adjust).length > 0;
}

/** What a plugin's answer leads to is counted as its failure. */
function blaming(plugin: Plugin, call: EventCall, step: () => void): void {
  try {
    step();
  } catch (error) {
    plugin.counts.failed(call);
    throw error;
  }
}
