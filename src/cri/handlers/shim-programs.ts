// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { ProtoAny } from "../../gen/wellknown.gen.ts";

/** Shims as programs, asked before any of them serves a pod. */
export interface ShimPrograms {
  /**
   * The program of a runtime's name; `shim` is a path that wins, unless "". INVALID_ARGUMENT for what is
   * no such name, NOT_FOUND when there is no such program.
   */
  find(type: string, shim: string): Promise<{ readonly path: string }>;
  /** The OCI features that a shim tells, as JSON; undefined when it tells none. */
  features(file: string, options: ProtoAny | null, call: Cancellable): Promise<string | undefined>;
}
