// SPDX-License-Identifier: Apache-2.0
import { deadline } from "../base/deadline.ts";
import { toFault } from "../base/errors.ts";
import { shortened } from "../base/shortened.ts";
import { within } from "../base/waits.ts";
import type { Check } from "./check.ts";
import { error, type Finding, warning } from "./finding.ts";
import type { Patient } from "./patient.ts";

/** Longer than any wait of a check's own: what is over then hangs where nothing was thought to. */
const checkMs = 20_000;
/** A folder of thousands of bad files is one problem. */
const mostFindings = 200;

export interface CheckResult {
  readonly check: string;
  readonly findings: readonly Finding[];
  /** It did not end in time, and may hold a thread that the process's end would wait for. */
  readonly hangs: boolean;
}

/** Runs all checks at once. Each has an end, and what it throws is a finding: there is an answer in any case. */
export async function runChecks(
  checks: readonly Check[],
  patient: Patient,
  { checkMs: ms = checkMs }: { readonly checkMs?: number } = {},
): Promise<readonly CheckResult[]> {
  const results = await Promise.all(checks.map((check) => runOne(check, patient, ms)));
  return results.map(({ findings, ...result }) => ({
    ...result,
    findings: findings.map(({ level, what, why, mend }) => {
      const { host } = patient;
      return { level, what: host.named(what), why: host.named(why), mend: host.named(mend) };
    }),
  }));
}

async function runOne(check: Check, patient: Patient, ms: number): Promise<CheckResult> {
  const { name, about } = check;
  const { isUnread, problem } = patient.configuration;
  if (isUnread && check.needsConfig === true) {
    const what = `not looked at ${about}: ${problem}`;
    const why =
      "the configuration says what to look at; with the defaults this would be another node";
    return { check: name, findings: [warning({ what, why, mend: "" })], hangs: false };
  }
  try {
    using limit = deadline(ms, `looking at ${about}`);
    // Most stop by the signal; what sits in the kernel does not.
    const findings = await within(Promise.resolve(check.run(patient, limit)), ms + 1000);
    if (findings !== undefined) return { check: name, findings: bounded(findings), hangs: false };
    const what = `looking at ${about} did not end in ${ms / 1000} s`;
    const why = "something that it asks or reads hangs: a file system without its server, a device";
    const mend = "ps -eo pid,stat,wchan:32,args | awk '$2 ~ /D/'";
    return { check: name, findings: [error({ what, why, mend })], hangs: true };
  } catch (thrown) {
    const what = `cannot look at ${about}: ${shortened(toFault(thrown).message, 400)}`;
    const why = "what is wrong there, if anything is, is not known";
    const isForbidden = /\b(EACCES|EPERM)\b/.test(what);
    const mend = isForbidden ? "sudo berth doctor" : "";
    return { check: name, findings: [error({ what, why, mend })], hangs: false };
  }
}

function bounded(findings: readonly Finding[]): readonly Finding[] {
  if (findings.length <= mostFindings) return findings;
  const more = findings.length - mostFindings;
  const rest = { what: `and ${more} more of the same check`, why: "", mend: "" };
  return [...findings.slice(0, mostFindings), error(rest)];
}
