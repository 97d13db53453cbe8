// SPDX-License-Identifier: Apache-2.0
// The whole API between Berth and an operator's plugin. docs/plugins.md explains it to authors.
import type { ContainerConfig, PodSandboxConfig } from "../../gen/cri.gen.ts";
import type { OciSpec } from "../../oci/spec.ts";

/**
 * The version of this API. A plugin names the one it was written for; it is raised when a plugin
 * that worked could stop working, never for an addition.
 */
export const apiVersion = 1;

/**
 * What a plugin's file exports under the name `plugin`. It runs in a worker thread of its own; every
 * value it is given is a copy, so only what a hook returns has an effect.
 */
export interface OperatorPlugin {
  readonly apiVersion: typeof apiVersion;
  /** Runs once before any hook, at each start of the worker. A throw is a plugin that fails to load. */
  init?(context: PluginInit): void | Promise<void>;
  /** Before a pod's sandbox is recorded and started. */
  onSandboxCreate?(request: SandboxCreate): HookAnswer | Promise<HookAnswer>;
  /** Before a container is recorded; nothing of it runs yet. */
  onContainerCreate?(request: ContainerCreate): HookAnswer | Promise<HookAnswer>;
  /**
   * Sees events after they happened, one at a time and in order. When it cannot keep up, the oldest
   * are dropped. Its failures concern nobody.
   */
  onEvent?(event: ObservedEvent): void | Promise<void>;
}

export interface PluginInit {
  /** The file's name without its ending. */
  readonly name: string;
  /** `[plugins.config.NAME]` of the daemon's configuration without Berth's own keys. */
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface SandboxCreate {
  readonly id: string;
  readonly config: PodSandboxConfig;
  /** As earlier plugins left it. */
  readonly spec: OciSpec;
}

export interface ContainerCreate {
  readonly id: string;
  readonly sandbox: { readonly id: string; readonly config: PodSandboxConfig };
  readonly config: ContainerConfig;
  /** As earlier plugins left it. */
  readonly spec: OciSpec;
}

/**
 * Nothing leaves the spec as it is; `spec` takes its place; `veto` refuses with a reason, which the
 * kubelet shows on the pod.
 */
export type HookAnswer = undefined | void | { readonly spec: OciSpec } | { readonly veto: string };

export interface ObservedEvent {
  /** `/tasks/exit` for one. */
  readonly topic: string;
  /** The containerd namespace; pods live in `k8s.io`. */
  readonly namespace: string;
  readonly timestampNanos: bigint;
  /** The message's name, `containerd.events.TaskExit` for one. */
  readonly type: string;
  /** Its fields in camel case; null for a message that Berth does not know. */
  readonly event: Readonly<Record<string, unknown>> | null;
}

export type HookName = "onSandboxCreate" | "onContainerCreate" | "onEvent";
