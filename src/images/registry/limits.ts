// SPDX-License-Identifier: Apache-2.0
import { maxDocumentBytes } from "../image-source.ts";

/**
 * What a registry may cost us. Nothing beyond these sizes is read, and nothing is waited for beyond these times.
 */
export const registryLimits = {
  /** A manifest, an index or a config. */
  documentBytes: maxDocumentBytes,
  /** What a token server answers. */
  tokenBytes: 256 * 1024,
  /** Of an error's body, for its message. */
  errorBytes: 64 * 1024,
  /** Of an answer's headers, all together: some send policies and signed cookies of 64 KiB. */
  headerBytes: 80 * 1024,
  redirects: 10,
  /** From a request to the end of the answer's headers, redirects included. */
  answerMs: 30_000,
  /** The same for a blob from the last host, where the operator sets no limit; containerd's progress timeout. */
  blobAnswerMs: 300_000,
  /** From a request to the end of a whole document or token. */
  documentMs: 120_000,
  /** What a transfer must bring on average in each window: less counts as a standstill. */
  bytesPerSecond: 1024,
} as const;

/** How long another call's work on the same may stand still before the waiting call does it itself. */
export const joinPatienceMs = 5_000;

/** How long a download waits for another one of the same blob: that one's registry may be slow on purpose. */
export const joinLimits = {
  /** For a download that brings less than `quickBytesPerSecond`. */
  slowMs: 10_000,
  quickBytesPerSecond: 1024 * 1024,
  /** For any download. */
  mostMs: 300_000,
} as const;

/** The shorter of a limit of ours and the operator's progress timeout, where 0 is none. */
export function within(limitMs: number, progressTimeoutMs: number): number {
  return progressTimeoutMs > 0 ? Math.min(limitMs, progressTimeoutMs) : limitMs;
}
