// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type {
  ContainerAdjustment,
  ContainerInit,
  ContainerUpdate,
  CreateContainerRequestInit,
  LinuxResources,
  OwningPlugins,
  PodSandboxInit,
  StopContainerRequestInit,
  UpdateContainerRequestInit,
  UpdatePodSandboxRequestInit,
} from "./messages.ts";

/**
 * What the façade asks of the node's plugins. What makes a message is called only when a plugin wants to know, perhaps
 * later than now, and at most once. With no plugin connected nothing is built, sent or waited for.
 *
 * All of them reject with the signal's reason when that fires; what else they reject with fails the operation, but for
 * `tell`.
 */
export interface NodePlugins {
  /**
   * False with no plugin connected, joining or required: who would wait for plugins, or do things in another order for
   * them, need not.
   */
  readonly active: boolean;
  /**
   * Asks what to change in a container that is to be. From this call on until the answer is disposed (or the call has
   * failed) the container counts as existing, so that a plugin which joins meanwhile gets it in Synchronize: a join
   * takes its list in one synchronous step, of all that the façade shows and all that is pending, and what happens after
   * that step is queued for that plugin behind its Synchronize. No container is lost while a plugin joins.
   *
   * The request's pod and container must have their ids. UNAVAILABLE when a plugin that must answer does not, or a required
   * one is missing; FAILED_PRECONDITION when two want to set the same; what a plugin or a validator refuses with.
   */
  createContainer(request: () => CreateContainerRequestInit, call: Cancellable): Promise<Creation>;
  /** Tells of a pod that is up, likewise; disposed when its record is shown, or its start has failed. */
  runPodSandbox(pod: () => PodSandboxInit, call: Cancellable): Promise<Disposable>;
  /** Asks before new limits are applied. */
  updateContainer(
    request: () => UpdateContainerRequestInit,
    call: Cancellable,
  ): Promise<UpdateOutcome>;
  /** Tells of a pod's new limits before they are applied. */
  updatePodSandbox(request: () => UpdatePodSandboxRequestInit, call: Cancellable): Promise<void>;
  /** Tells of a container that has stopped; answers what becomes of others. */
  stopContainer(
    request: () => StopContainerRequestInit,
    call: Cancellable,
  ): Promise<readonly ContainerUpdate[]>;
  /** Tells of what nothing is asked about. Its failures are for the log, but for StartContainer's, which ends the start. */
  tell(event: Told, call: Cancellable): Promise<void>;
  /** All that are connected, and those that went and why, by index. */
  list(): readonly PluginReport[];
  /** Those that must be there and are not, as the configuration names them. No container is made without them. */
  missing(): readonly MissingPlugin[];
}

export interface Creation extends Disposable {
  /** Merged over all plugins; undefined when none adjusted anything. */
  readonly adjust: ContainerAdjustment | undefined;
  /** Of other containers that are shown; those that are being made get theirs when they are. */
  readonly updates: readonly ContainerUpdate[];
  /** Who set which field: kept in the record for `berth pod inspect`. */
  readonly owners: OwningPlugins | undefined;
}

export interface UpdateOutcome {
  /** The limits to apply to the container; undefined for those of the request. */
  readonly resources: LinuxResources | undefined;
  /** Of other containers that are shown, likewise. */
  readonly updates: readonly ContainerUpdate[];
}

export type ToldEvent =
  | "StopPodSandbox"
  | "RemovePodSandbox"
  | "PostUpdatePodSandbox"
  | "PostCreateContainer"
  | "StartContainer"
  | "PostStartContainer"
  | "PostUpdateContainer"
  | "RemoveContainer";

export interface Told {
  readonly kind: ToldEvent;
  readonly pod: () => PodSandboxInit;
  readonly container?: () => ContainerInit;
}

/** What the plugins know of the node and may ask of it. Implemented by the façade. */
export interface NodeState {
  /**
   * Those that are not in an unknown state, listed at once, each made when its turn comes: a node may have thousands. Of
   * one that is gone by then nothing is made.
   */
  pods(): readonly (() => PodSandboxInit | undefined)[];
  /** Those that are neither exited nor unknown, likewise. */
  containers(): readonly (() => ContainerInit | undefined)[];
  /** Whether the façade shows a container of this id. */
  hasContainer(id: string): boolean;
  /**
   * Applies updates that nobody asked for; answers those that failed and did not ask for that to be ignored. Ids that
   * nobody knows are passed over.
   */
  update(
    updates: readonly ContainerUpdate[],
    call: Cancellable,
  ): Promise<readonly ContainerUpdate[]>;
  /** Stops a container at once. `reason` names the plugin and what it says. */
  evict(id: string, reason: string, call: Cancellable): Promise<void>;
}

/** Is told how calls of plugins end, for metrics. None of it can throw or wait. */
export interface CallWatch {
  /** A plugin has answered, in time or late. */
  answered(call: string, seconds: number): void;
  /**
   * What an operation had of a call: an answer in time, or "failed": refused, late, or passed over because it was late
   * before. An answer that cannot be taken is both.
   */
  ended(plugin: string, call: string, result: "answered" | "failed"): void;
  /** An answer of it has changed something. */
  adjusted(plugin: string): void;
}

/** For the command that lists the plugins, and the metrics. */
export interface PluginReport {
  /** Two digits. */
  readonly index: string;
  readonly name: string;
  readonly kind: "external" | "launched" | "builtin";
  /** `late`: it has not answered in time, and is passed over until it does. */
  readonly state: "joining" | "serving" | "late" | "gone";
  /** Why it is late or gone. */
  readonly reason: string | undefined;
  /** Of its module, as it said; "unknown" when it did not. */
  readonly version: string;
  /** What it has subscribed, by the calls' names. */
  readonly events: readonly string[];
  /** When it connected, in milliseconds since the epoch. */
  readonly since: number;
  /** By the calls' names. */
  readonly calls: Readonly<Record<string, CallReport>>;
}

/** A plugin that is required, by `[nri] required` or the built-in validator, and not connected. */
export interface MissingPlugin {
  /** As the configuration names it, `name` or `10-name`. */
  readonly name: string;
  /** Why it went; "" when it has not been there since the daemon's start. */
  readonly reason: string;
}

export interface CallReport {
  readonly count: number;
  /** Milliseconds that its answers took, in all, and the longest. */
  readonly totalMs: number;
  readonly longestMs: number;
  readonly failures: number;
  /** Answers that changed something. */
  readonly adjustments: number;
}
