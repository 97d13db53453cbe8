// SPDX-License-Identifier: Apache-2.0
import type { IncomingHttpHeaders } from "node:http";

/** `Sun, 06 Nov 1994 08:49:37 GMT`, and the two older forms that HTTP has servers understand. */
const dates: readonly RegExp[] = [
  /^[a-z]{3}, \d{2} [a-z]{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/i,
  /^[a-z]{6,9}, \d{2}-[a-z]{3}-\d{2} \d{2}:\d{2}:\d{2} GMT$/i,
  /^[a-z]{3} [a-z]{3} [\d ]\d \d{2}:\d{2}:\d{2} \d{4}$/i,
];

/**
 * How many milliseconds `Retry-After` says to wait: seconds, or a date, which is held against the server's own clock
 * where the answer tells it. Undefined for none, and for what is neither; 0 for a time that is over.
 */
export function parseRetryAfter(
  headers: Pick<IncomingHttpHeaders, "retry-after" | "date">,
  nowMs: number,
): number | undefined {
  const text = (headers["retry-after"] ?? "").trim();
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000;
  const until = readDate(text);
  if (until === undefined) return undefined;
  return Math.max(0, until - (readDate((headers.date ?? "").trim()) ?? nowMs));
}

function readDate(text: string): number | undefined {
  if (!dates.some((form) => form.test(text))) return undefined;
  const ms = Date.parse(text.endsWith("GMT") ? text : `${text} GMT`);
  return Number.isNaN(ms) ? undefined : ms;
}
