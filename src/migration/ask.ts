// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { fault } from "../base/errors.ts";
import { sleep } from "../base/timers.ts";
import { KeptCredential } from "../kube/api/kept-credential.ts";
import { type NodeClient, openNodeClient } from "../kube/api/node-client.ts";
import { problemOf } from "../kube/api/problem.ts";
import type { ProblemKind } from "../kube/ports.ts";

/**
 * Asks the API server, again and again while it is away, which it may be where it runs on this very node. `passed`:
 * refusals that are the caller's, thrown as they came; others are faults.
 */
export type Ask = <T>(
  what: string,
  question: (client: NodeClient) => Promise<T>,
  call: Cancellable,
  passed?: readonly Passed[],
) => Promise<T>;

type Passed = "throttled" | "gone";

export interface AskSettings {
  /** One, or several that are one together. */
  readonly kubeconfig: readonly string[];
  /** How long an API server may be away. */
  readonly awayMs: number;
  readonly say: (line: string) => void;
}

const passing: readonly ProblemKind[] = ["unreachable", "late", "broken", "throttled"];
const firstMs = 500;
const mostMs = 10_000;

export function openAsk({ kubeconfig, awayMs, say }: AskSettings): Ask {
  // What a program gave is kept; files are read anew each time, for they rotate.
  const kept = new KeptCredential();
  return async (what, question, { signal }, passed = []) => {
    using limit = deadline(awayMs, what, signal);
    let isTold = false;
    for (let waitMs = firstMs; ; waitMs = Math.min(2 * waitMs, mostMs)) {
      try {
        return await question(await openNodeClient(kubeconfig, { signal: limit.signal, kept }));
      } catch (error) {
        signal.throwIfAborted();
        const { kind, message, retryAfterMs } = problemOf(error);
        if (passed.includes("throttled") && kind === "throttled") throw error;
        if (passed.includes("gone") && isGone(error)) throw error;
        const isLast = limit.signal.aborted || !passing.includes(kind);
        if (isLast) throw refused(what, kind, message, error);
        if (!isTold)
          say(`the API server does not answer (${message}); asking again for ${awayMs / 1000} s`);
        isTold = true;
        try {
          await sleep(Math.max(waitMs, retryAfterMs ?? 0), limit);
        } catch {
          signal.throwIfAborted();
          throw refused(what, kind, message, error);
        }
      }
    }
  };
}

function refused(what: string, kind: ProblemKind, message: string, cause: unknown): Error {
  if (kind === "kubeconfig") {
    return fault("FAILED_PRECONDITION", `the kubeconfig cannot be used: ${message}`, { cause });
  }
  const code =
    kind === "forbidden" || kind === "unauthorized" ? "PERMISSION_DENIED" : "UNAVAILABLE";
  return fault(code, `the API server does not give ${what}: ${kind}: ${message}`, { cause });
}

/** There is no such object, or another of its name, or soon there is none: its whole namespace goes. */
export function isGone(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  const body = "body" in error ? JSON.stringify(error.body) : "";
  if (error.code === 404 || error.code === 409) return true;
  return error.code === 403 && body.includes("NamespaceTerminating");
}
