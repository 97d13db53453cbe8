// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { type ExecCredential, execCredential } from "./exec-credential.ts";

/** What has less time than that is not used any more: a batch takes some of it, and clocks differ. */
const leastMs = 60_000;

/**
 * What a kubeconfig's program gave, so that it does not run for each batch: until shortly before it expires, the
 * kubeconfig names another, or it is forgotten, as it must be once a server does not take it.
 */
export class KeptCredential {
  #kept: { readonly of: string; readonly credential: ExecCredential } | undefined;

  async get(
    exec: unknown,
    about: { readonly folder: string; readonly cluster: Record<string, unknown> },
    call: Cancellable,
  ): Promise<ExecCredential> {
    const of = JSON.stringify([exec, about]);
    if (this.#kept?.of === of && lasts(this.#kept.credential)) return this.#kept.credential;
    this.#kept = undefined;
    const credential = await execCredential(exec, about, call);
    this.#kept = { of, credential };
    return credential;
  }

  forget(): void {
    this.#kept = undefined;
  }
}

/** What says nothing of its end is good until a server says otherwise. */
function lasts({ expiresAtMs }: ExecCredential): boolean {
  return expiresAtMs === undefined || expiresAtMs - Date.now() > leastMs;
}
