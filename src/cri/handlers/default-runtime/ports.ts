// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../../base/cancellable.ts";
import type { PodHandler } from "../handlers.ts";

/** Which OCI runtime pods have whose RuntimeClass names no handler. */
export interface DefaultRuntime {
  /** What it is now. From memory. */
  current(): PodHandler;
  /** As `current`, for a pod that is made: looks whether the program is still the one that was tried. */
  forNewPod(call: Cancellable): Promise<PodHandler>;
  /** What it is, and why. From memory. */
  describe(): DefaultRuntimeFacts;
}

/** As verbose Status and `berth status` show it. */
export interface DefaultRuntimeFacts {
  /** The handler's name in the configuration, or `crun` for the one that was chosen. */
  readonly handler: string;
  /** Path or name of the OCI runtime; for a shim that is not runc's, the runtime's type. */
  readonly program: string;
  /** Who says so: the configuration, or the choice, which may not have been made yet. */
  readonly by: "configuration" | "choice" | "no choice yet";
  /** Why: a clause. */
  readonly reason: string;
}

/** The trial of an OCI runtime: see src/runtime/trial. */
export interface RuntimeTrials {
  /** FAILED_PRECONDITION for what the runtime did not do; any other error says nothing of what it can. */
  run(trial: TrialRequest, call: Cancellable): Promise<TrialResult>;
  /** Removes what trials of a daemon that was killed have left. Never rejects. */
  clear(): Promise<void>;
}

export interface TrialRequest {
  readonly program: string;
  readonly id: string;
  /** OCI spec, JSON. */
  readonly spec: Uint8Array;
  readonly cgroupsPath: string;
  readonly systemdCgroup: boolean;
  readonly process: string;
  readonly mounts: readonly { readonly at: string; readonly option: string }[];
}

/** What the kernel tells of the container. */
export interface TrialResult {
  readonly namespaces: readonly string[];
  readonly seccomp: boolean;
  readonly mountOptions: readonly string[];
  readonly limits: Readonly<Record<string, string>>;
}
