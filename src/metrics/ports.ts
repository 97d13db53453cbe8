// SPDX-License-Identifier: Apache-2.0
import type { CgroupPaths } from "./cgroup/cgroup-layout.ts";

/** One running task as metrics see it. `pod` and the rest are "" for a task that CRI does not know. */
export interface TaskInfo {
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  /** The container's name; "POD" for the sandbox's own. */
  readonly container: string;
  readonly containerId: string;
  readonly image: string;
  readonly pid: number;
  /** From CgroupLayout.locate(cgroupsPath of the spec). */
  readonly cgroupPaths: CgroupPaths;
  /** The cgroup's path below its hierarchy's top. */
  readonly cgroupPath: string;
  /** Of its writable layer; "" for a task without one. */
  readonly snapshotKey: string;
  /** Id of the pod's sandbox. */
  readonly sandboxId: string;
  readonly startedAtNanos: bigint;
  /**
   * Set on the one task of a pod that stands for its network (the sandbox's), when the pod has a
   * network of its own: interface counters are read through that task's pid.
   */
  readonly netnsPath?: string | undefined;
}

/** The running tasks, from memory. */
export type TaskSource = () => readonly TaskInfo[];

export interface Health {
  readonly healthy: boolean;
  /** One line for the person who asks. */
  readonly detail: string;
}

/** What is known of the configuration and its reloads. */
export interface ConfigurationFacts {
  /** In hex. */
  readonly hash: string;
  readonly loadedAtMs: number;
  readonly successes: number;
  readonly failures: number;
  readonly last: { readonly result: "success" | "failure" } | undefined;
  readonly waiting: readonly string[];
}

export interface MemorySource {
  readonly limitBytes: number;
  readonly pools: readonly {
    readonly name: string;
    readonly limitBytes: number;
    readonly heldBytes: number;
  }[];
  /** Since the start, by what was short. */
  readonly refused: Readonly<Record<string, number>>;
}

/** Values that other parts keep and a scrape reads. All from memory; what is left out is not exported. */
export interface DaemonSources {
  readonly shims?: (() => number) | undefined;
  /** Operations that are running now, by stage ("netns", "network", "shim", …). */
  readonly operations?: (() => ReadonlyMap<string, number>) | undefined;
  readonly logs?: (() => { readonly bytes: number; readonly lostBytes: number }) | undefined;
  /** Open streaming sessions by kind: "exec", "attach", "port_forward". */
  readonly streamingSessions?: (() => ReadonlyMap<string, number>) | undefined;
  readonly sandboxes?: (() => { readonly ready: number; readonly notReady: number }) | undefined;
  /** What the daemon's memory is shared out for, and what was refused for lack of it. */
  readonly memory?: (() => MemorySource) | undefined;
  /** Trees that are to go and could not be removed so far. */
  readonly stuckRemovals?: (() => number) | undefined;
  readonly lostSockets?: (() => number) | undefined;
  readonly configuration?: (() => ConfigurationFacts) | undefined;
  /** Required plugins of NRI that are not connected. */
  readonly missingNriPlugins?: (() => number) | undefined;
  readonly transfers?: (() => TransferSource) | undefined;
  readonly cluster?: (() => ClusterSource) | undefined;
  /** Undefined where NRI is off. */
  readonly nriPlugins?: (() => readonly NriPluginState[]) | undefined;
}

/** What befell pods, by kind, and what of it a cluster was told; undefined where it is told nothing. */
export interface ClusterSource {
  readonly facts: ReadonlyMap<string, number>;
  readonly telling:
    | {
        readonly sent: number;
        readonly waiting: number;
        readonly dropped: Readonly<Record<string, number>>;
        readonly problem: object | undefined;
      }
    | undefined;
}

/** Pulls and pushes of images, each by "pull" and "push". */
export interface TransferSource {
  readonly running: Readonly<Record<string, number>>;
  /** Since the start. */
  readonly bytes: Readonly<Record<string, number>>;
}

/** A plugin of NRI as a gauge counts it. */
export interface NriPluginState {
  readonly index: string;
  readonly name: string;
  readonly state: "joining" | "serving" | "late" | "gone";
}
