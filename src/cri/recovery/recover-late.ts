// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { isFault } from "../../base/errors.ts";
import { parseCgroups } from "../../base/os/proc-cgroup.ts";
import { retry } from "../../base/retry.ts";
import type { CriParts } from "../parts.ts";

export type RecoverLateNeeds = Pick<CriParts, "isProcessOf" | "lifetime" | "log">;

const attemptMs = 30_000;
const firstDelayMs = 1_000;
const longestDelayMs = 30_000;

/** A record that runs, by what was stored of it, and whose recovery came to no end. */
export interface Unrecovered {
  readonly id: string;
  /** Of which one is in the name of its process's cgroup. */
  readonly ids: readonly string[];
  /** Of the process that was stored; 0 for none. */
  readonly pid: number;
  /** Whether it still stands as running, and nobody watches its task. */
  readonly isPending: () => boolean;
  readonly attempt: (call: Cancellable) => Promise<void>;
  /** Shows that nothing is known of it. */
  readonly giveUp: (reason: string) => void;
}

/** Whether a process is in the cgroup of one of these ids. */
export async function isProcessOf(pid: number, ids: readonly string[]): Promise<boolean> {
  if (pid <= 0) return false;
  const text = await readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "");
  return parseCgroups(text).some(({ place }) => ids.some((id) => place.includes(id)));
}

/**
 * Whether what could not be recovered in time runs all the same, by what the kernel tells. A kubelet ends containers of
 * unknown state and pods that are not ready, so a slow disk or shim must not make them so.
 */
export async function runsAllTheSame(
  { isProcessOf: isOf = isProcessOf }: Pick<CriParts, "isProcessOf">,
  { pid, ids }: Pick<Unrecovered, "ids" | "pid">,
  error: unknown,
): Promise<boolean> {
  return isFault(error, "DEADLINE_EXCEEDED", "UNAVAILABLE") && (await isOf(pid, ids));
}

/**
 * Goes on with a recovery, beside the calls that come in, until it succeeds or the record is gone. Gives up when the
 * process is gone and nobody has told of its end. Never rejects.
 */
export async function recoverLate(parts: RecoverLateNeeds, late: Unrecovered): Promise<void> {
  const { lifetime, log } = parts;
  const { id } = late;
  const attempt = async (): Promise<void> => {
    if (!late.isPending()) return;
    using limit = deadline(attemptMs, `recovering "${id}"`, lifetime);
    try {
      await late.attempt(limit);
      log.info({ id }, "record recovered late");
    } catch (error) {
      if (await runsAllTheSame(parts, late, error)) throw error;
      if (late.isPending()) late.giveUp(error instanceof Error ? error.message : String(error));
    }
  };
  await retry(attempt, {
    attempts: Number.POSITIVE_INFINITY,
    delayMs: firstDelayMs,
    maxDelayMs: longestDelayMs,
    signal: lifetime,
  }).catch(() => {}); // the daemon stops
}
