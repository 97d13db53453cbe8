// SPDX-License-Identifier: Apache-2.0

import { codingOf } from "./content-coding.ts";
import type { HttpAnswer } from "./http-answer.ts";

/** What of a blob an answer brings. */
export interface BlobPart {
  /** Where its bytes begin: at what was asked for, or before it. */
  readonly start: number;
  /** The whole blob's length, as far as the answer tells it. */
  readonly total: number | undefined;
}

/**
 * What an answer of 2xx to a request from `asked` on brings of a blob of `size` bytes. A server may ignore Range, and a
 * proxy may serve another part. Undefined for one that is no help: a part without its place, one that begins after
 * `asked`, or a part of something else.
 */
export function partOf(
  { status, headers }: Pick<HttpAnswer, "status" | "headers">,
  asked: number,
  size: number,
): BlobPart | undefined {
  if (status === 204 || status === 205) return { start: 0, total: 0 };
  const isCoded = codingOf(headers) !== undefined;
  if (status !== 206) {
    const length = lengthOf(headers["content-length"]);
    return { start: 0, total: isCoded && length !== size ? undefined : length };
  }
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(
    (headers["content-range"] ?? "").trim(),
  );
  if (!match) return asked === 0 && !isCoded ? { start: 0, total: undefined } : undefined;
  const [, start = "", end = "", total = "*"] = match;
  if (isCoded || Number(start) > asked || Number(end) < asked) return undefined;
  if (total !== "*" && Number(total) !== size) return undefined;
  return { start: Number(start), total: total === "*" ? undefined : size };
}

function lengthOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
