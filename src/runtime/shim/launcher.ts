// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import type { Bundle } from "../bundle/bundle.ts";
import type { ProcessExit } from "../ports.ts";
import type { ShimBinary } from "./binary.ts";
import type { Bootstrap } from "./bootstrap-answer.ts";

/**
 * How shim processes come to be: by the helper protocol (`start`), which every shim has, or directly,
 * see DirectLauncher.
 */
export interface ShimLauncher {
  /**
   * Starts the shim for a bundle whose config.json and log FIFO (with a reader) are there, or finds
   * the running one of its group. Once begun it is not abandoned on abort: a killed helper would
   * leave a shim behind that nobody knows.
   */
  launch(request: LaunchRequest, call: Cancellable): Promise<Bootstrap>;
  /**
   * Runs the shim's `delete` for a task whose shim is gone or refused to create it: kills and deletes
   * the container in the OCI runtime, unmounts its root. Answers the exit it made up (137).
   */
  cleanUp(
    request: Omit<LaunchRequest, "options" | "isDirect">,
    call: Cancellable,
  ): Promise<ProcessExit>;
}

export interface LaunchRequest {
  readonly binary: ShimBinary;
  readonly bundle: Bundle;
  readonly options: ProtoAny | null;
  /** The shim needs no helper: see isDirect. */
  readonly isDirect: boolean;
}
