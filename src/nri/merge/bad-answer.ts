// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "../../base/errors.ts";
import { shortened } from "../../base/shortened.ts";

/** Names the plugin and the field, as the proto spells its path, of an answer that nobody can follow. */
export function badAnswer(plugin: string, field: string, problem: string): RuntimeFault {
  return fault(
    "FAILED_PRECONDITION",
    `plugin ${JSON.stringify(plugin)}: ${shortened(field, 512)}: ${shortened(problem, 512)}`,
  );
}
