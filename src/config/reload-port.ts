// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { type FaultCode, type FaultOptions, RuntimeFault } from "../base/errors.ts";
import type { Config } from "./config.ts";
import type { ConfigChange } from "./reload-diff.ts";

/**
 * A part of the daemon that must do something when its keys change:
 *
 *     prepare ──▶ every part is prepared ──▶ commit
 *         └─ or one failed, whoever's ─────▶ rollback
 *
 * What reads LiveConfig for each piece of work needs no part.
 */
export interface ReloadPart {
  /** Its keys, by their beginning, in Config's names: `"cni"`, `"metrics.address"`. */
  readonly keys: readonly string[];
  /**
   * Does everything that can fail, and nothing that anybody notices. `changes` are those of its own
   * keys, never empty. Throws KeyFault, or any other error, for what cannot be; then it has cleaned up
   * after itself.
   */
  prepare(
    next: Config,
    changes: readonly ConfigChange[],
    call: Cancellable,
  ): Promise<PreparedReload>;
}

/** One of the two is called, once. */
export interface PreparedReload {
  /** Puts the new in the place of the old, at once. Must not throw: all parts are committed together. */
  commit(): void;
  /** Gives back what was prepared. */
  rollback(): Promise<void>;
}

/** A fault of one key's value; `key` is as the file has it. */
export class KeyFault extends RuntimeFault {
  override readonly name = "KeyFault";
  readonly key: readonly string[];

  constructor(code: FaultCode, key: readonly string[], message: string, options?: FaultOptions) {
    super(code, message, options);
    this.key = key;
  }
}

/** For parts whose preparation holds nothing. */
export function onCommit(commit: () => void): PreparedReload {
  return { commit, rollback: () => Promise.resolve() };
}
