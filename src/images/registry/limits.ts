// SPDX-License-Identifier: Apache-2.0
import { maxDocumentBytes } from "../image-source.ts";

/**
 * What a registry may cost us. Whatever it sends is read up to these limits and not beyond; whatever it
 * does not send is waited for this long.
 */
export const registryLimits = {
  /** A manifest, an index or a config. */
  documentBytes: maxDocumentBytes,
  /** What a token server answers. */
  tokenBytes: 256 * 1024,
  /** Of an error's body, for its message. */
  errorBytes: 64 * 1024,
  redirects: 10,
  /** From a question to the end of the answer's headers, redirects included. */
  answerMs: 30_000,
  /** The same for a blob of the last host where the operator sets no limit; containerd's progress timeout. */
  blobAnswerMs: 300_000,
  /** From a question to the end of a whole document or token. */
  documentMs: 120_000,
  /** What a transfer must bring on average while it lasts: less is a stall that pretends. */
  bytesPerSecond: 1024,
} as const;

/** How long another's work for the same may stand still before one does it oneself. */
export const joinPatienceMs = 5_000;

/** How long another download of the same is waited for: its registry is its own, and may be slow on purpose. */
export const joinLimits = {
  /** One that brings less than `quickBytesPerSecond`. */
  slowMs: 10_000,
  quickBytesPerSecond: 1024 * 1024,
  /** Any. */
  mostMs: 300_000,
} as const;

/** The shorter of a limit of ours and the operator's progress timeout, where 0 is none. */
export function within(limitMs: number, progressTimeoutMs: number): number {
  return progressTimeoutMs > 0 ? Math.min(limitMs, progressTimeoutMs) : limitMs;
}
