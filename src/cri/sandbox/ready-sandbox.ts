// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { CriParts } from "../parts.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { type ValidSandboxConfig, validSandboxConfig } from "../validate.ts";

export type ReadyNeeds = Pick<CriParts, "liveSandboxes" | "sandboxes">;

/** A sandbox that containers can be made and started in. */
export interface ReadySandbox {
  readonly id: string;
  readonly pid: number;
  readonly config: ValidSandboxConfig;
  readonly record: SandboxRecord;
}

/** NOT_FOUND when there is no such sandbox; FAILED_PRECONDITION when it is not ready, or stopping. */
export function readySandbox(
  { liveSandboxes, sandboxes }: ReadyNeeds,
  idOrPrefix: string,
): ReadySandbox {
  const record = sandboxes.require(idOrPrefix);
  const { id, state } = record;
  if (state.kind !== "ready") {
    const reason = state.kind === "notReady" ? `: ${state.reason}` : "";
    throw fault("FAILED_PRECONDITION", `sandbox "${id}" is not ready${reason}`);
  }
  if (liveSandboxes.of(id).ending) {
    throw fault("FAILED_PRECONDITION", `sandbox "${id}" is not ready: it is being stopped`);
  }
  return { id, pid: state.pid, config: validSandboxConfig(record.config), record };
}
