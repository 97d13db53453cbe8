// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { ProcessFault } from "../../base/process.ts";
import type { ShimBinary } from "./binary.ts";

/** The error of a shim that did not start, with what it said. */
export function launchFault(binary: ShimBinary, id: string, error: unknown): Error {
  if (!(error instanceof ProcessFault))
    return error instanceof Error ? error : new Error(String(error));
  const said = error.stderrTail || error.stdout.toString("utf8").trim() || error.message;
  const code = error.code === "UNKNOWN" ? "INTERNAL" : error.code;
  return fault(code, `cannot start shim ${binary.path} of task "${id}": ${said}`, { cause: error });
}
