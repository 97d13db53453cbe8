// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "../../base/errors.ts";
import type { Bundle } from "./bundle.ts";

/** Where shims leave CRIU's log in the bundle: of a dump, and of a restore. */
const logs = ["criu-dump.log", "work/restore.log"];
const mostReasons = 3;

/**
 * The fault of a checkpoint or restore in which CRIU gave up: FAILED_PRECONDITION, since it says what
 * this kernel or this container lacks, with CRIU's own words where its log has them. Any other fault
 * comes back as it is.
 */
export async function criuFault(error: RuntimeFault, bundle: Bundle): Promise<RuntimeFault> {
  if (!/criu/i.test(error.message)) return error;
  const texts = await Promise.all(logs.map((name) => bundle.read(name).catch(() => "")));
  const reasons = [...new Set(texts.flatMap(criuReasons))].slice(0, mostReasons);
  const message = reasons.length === 0 ? error.message : `${error.message}: ${reasons.join("; ")}`;
  return fault("FAILED_PRECONDITION", message, { cause: error });
}

/** What CRIU's log calls errors, the cause first: `(00.017) Error (criu/vdso.c:381): vdso: …`. */
export function criuReasons(log: string): string[] {
  return log
    .split("\n")
    .map(
      (line) => /^\([\d.]+\)\s+(?:\d+:\s+)?Error \([^)]*\):\s*(.+)$/.exec(line)?.[1]?.trim() ?? "",
    )
    .filter((reason) => reason !== "" && !reason.startsWith("Dumping FAILED"));
}
