// SPDX-License-Identifier: Apache-2.0
import { type FaultCode, fault, type RuntimeFault, toFault } from "../../base/errors.ts";

interface Rule {
  readonly text: RegExp;
  readonly code: FaultCode;
}

// Shims answer code 2 for nearly everything, so the words must do. The words are those of the runc
// shims from 1.6 to 2.4 and of runc and crun behind them. First match wins.
const rules: readonly Rule[] = [
  { text: /cannot (delete|remove) a (running|paused) process/i, code: "FAILED_PRECONDITION" },
  {
    text: /cannot \w+ (a|in a|in) (deleted|stopped|created|running|paused)/i,
    code: "FAILED_PRECONDITION",
  },
  {
    text: /container (is )?not (running|paused)|not in running state/i,
    code: "FAILED_PRECONDITION",
  },
  { text: /container with id exists|\balready exists\b|\bfile exists\b/i, code: "ALREADY_EXISTS" },
  { text: /process already finished|no such process|process does not exist/i, code: "NOT_FOUND" },
  {
    text: /container not created|container does not exist|process .*not found|opening file .*\/status.: no such file/i,
    code: "NOT_FOUND",
  },
  { text: /must be created|invalid (argument|signal)/i, code: "INVALID_ARGUMENT" },
  {
    text: /executable file .*not found|exec: .*: no such file or directory|exec(:| container process .*:) no such file/i,
    code: "INVALID_ARGUMENT",
  },
  {
    text: /exec: .*: is a directory|exec format error|unable to find user|no such user/i,
    code: "INVALID_ARGUMENT",
  },
  { text: /(exec: .*|open executable: )permission denied/i, code: "PERMISSION_DENIED" },
  { text: /\bttrpc: closed\b/i, code: "UNAVAILABLE" },
];

/**
 * A shim's error with the code its words stand for. Codes other than UNKNOWN are believed. The
 * message says what was tried, then the shim's words.
 */
export function shimFault(error: unknown, action: string): RuntimeFault {
  const original = toFault(error);
  return fault(codeOf(original), `${action}: ${original.message}`, { cause: original });
}

function codeOf(error: RuntimeFault): FaultCode {
  if (error.code !== "UNKNOWN") return error.code;
  return rules.find((rule) => rule.text.test(error.message))?.code ?? "UNKNOWN";
}
