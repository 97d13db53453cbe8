// SPDX-License-Identifier: Apache-2.0
import { STATUS_CODES } from "node:http";
import { errnoOf, isAbort, isFault, toFault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { cleanText } from "../clean-text.ts";
import type { JobOutcome, KubeJob, Problem, ProblemKind } from "../ports.ts";

/** What a bounded request failed with; `kind` is what the server is told to have. */
export class ApiFailure extends Error {
  readonly problem: Problem;

  constructor(kind: ProblemKind, message: string, retryAfterMs?: number) {
    super(message);
    this.problem = { kind, message: cleanText(message, longestMessage), retryAfterMs };
  }
}

/** Whoever asked may ask for less. */
export class AnswerTooLarge extends ApiFailure {
  constructor(mostBytes: number) {
    super("rubbish", `an answer of more than ${mostBytes} bytes`);
  }
}

/** An answer that is no success. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const longestMessage = 300;
/** A server may not put us off for longer. */
const longestRetryMs = 600_000;

/** What became of a job that an API server has answered with an error, or not at all. */
export function outcomeOf(error: unknown, job: Pick<KubeJob, "kind">): JobOutcome {
  const refusal = refusalOf(error);
  return refusal === undefined
    ? { kind: "failed", problem: problemOf(error) }
    : outcomeOfRefusal(refusal, job);
}

/** Why nothing came of a request. */
export function problemOf(error: unknown): Problem {
  const refusal = refusalOf(error);
  if (refusal !== undefined) return problemOfRefusal(refusal);
  if (error instanceof ApiFailure) return error.problem;
  const message = cleanText(toFault(error).message, longestMessage);
  if (isAbort(error) || isFault(error, "DEADLINE_EXCEEDED")) return { kind: "late", message };
  return { kind: errnoOf(error) === undefined ? "rubbish" : "unreachable", message };
}

function outcomeOfRefusal(refusal: Refusal, job: Pick<KubeJob, "kind">): JobOutcome {
  const { status } = refusal;
  const message = messageOf(refusal);
  if (status === 404) return { kind: "gone" };
  if (status === 409) {
    // An earlier attempt has come through after all; a patch has met with another change.
    if (job.kind === "create-event") return { kind: "done" };
    return { kind: "failed", problem: { kind: "broken", message } };
  }
  if (status === 403 && isTerminating(refusal)) return { kind: "refused", message };
  const isOurs = status < 400 || status === 401 || status === 403 || status === 408;
  if (isOurs || status === 429 || status >= 500) {
    return { kind: "failed", problem: problemOfRefusal(refusal) };
  }
  return { kind: "refused", message };
}

function problemOfRefusal(refusal: Refusal): Problem {
  const { status, headers } = refusal;
  const message = messageOf(refusal);
  const retryAfterMs = retryAfter(headers["retry-after"]);
  if (status === 401) return { kind: "unauthorized", message };
  if (status === 403) return { kind: "forbidden", message };
  if (status === 429) return { kind: "throttled", message, retryAfterMs };
  if (status >= 500) return { kind: "broken", message, retryAfterMs };
  return { kind: "rubbish", message };
}

/** Nothing can be made in a namespace that is going: that says nothing of our rights. */
function isTerminating(refusal: Refusal): boolean {
  const details = statusOf(refusal)?.["details"];
  const causes = isRecord(details) ? details["causes"] : undefined;
  return (
    Array.isArray(causes) &&
    causes.some((cause) => isRecord(cause) && cause["reason"] === "NamespaceTerminating")
  );
}

function messageOf(refusal: Refusal): string {
  const told = statusOf(refusal)?.["message"];
  // Of a 401 the library keeps no body.
  const text = typeof told === "string" ? told : refusal.body || STATUS_CODES[refusal.status];
  return cleanText(`${refusal.status}: ${text ?? ""}`, longestMessage);
}

function statusOf({ body }: Refusal): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(body);
    return isRecord(parsed) && parsed["kind"] === "Status" ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** The library's ApiException, by its shape: the doctor must not load the library to know one. */
function refusalOf(error: unknown): Refusal | undefined {
  if (!isRecord(error) || typeof error["code"] !== "number") return undefined;
  const { body, code, headers } = error;
  if (!isRecord(headers)) return undefined; // a DOMException has a code of another kind
  return {
    status: code,
    headers: headers as Refusal["headers"],
    body: typeof body === "string" ? body : (JSON.stringify(body) ?? ""),
  };
}

/** Seconds, or a date. */
function retryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, longestRetryMs) : undefined;
}
