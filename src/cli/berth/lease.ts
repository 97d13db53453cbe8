// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { timeoutSignal } from "../../base/timers.ts";
import type { Session } from "./call-options.ts";

const undoMs = 10_000;

/** Keeps the garbage collector from what nothing refers to yet. Disposing lets go of it. */
export interface Lease extends AsyncDisposable {
  /** Options of calls that are made under the lease. */
  readonly call: Session["scoped"] & { readonly headers: Readonly<Record<string, string>> };
  /** Holds a blob that is there already, and what that leads to. */
  hold(digest: string): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One that ends by itself after so long, where its client is killed. */
export async function openLease(
  { client, scoped }: Pick<Session, "client" | "scoped">,
  lifeMs: number,
  more: Readonly<Record<string, string>> = {},
): Promise<Lease> {
  const leases = client("containerd.services.leases.v1.Leases");
  const id = `berth-${randomBytes(6).toString("hex")}`;
  const expires = new Date(Date.now() + lifeMs).toISOString();
  await leases.Create({ id, labels: { ...more, "containerd.io/gc.expire": expires } }, scoped);
  return {
    call: { ...scoped, headers: { "containerd-lease": id } },
    hold: async (digest) => {
      await leases.AddResource({ id, resource: { type: "content", id: digest } }, scoped);
    },
    [Symbol.asyncDispose]: async () => {
      await leases.Delete({ id }, { ...scoped, signal: timeoutSignal(undoMs) });
    },
  };
}
