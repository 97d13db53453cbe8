// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "../../../base/errors.ts";

/** What commands say of images that the daemon does not have, in its own words and with a hint; all of them are named. */
export function unknownImages(references: readonly string[], namespace: string): RuntimeFault {
  const named = references.map((one) => `"${one}"`).join(", ");
  const [what, it] = references.length === 1 ? ["image", "it"] : ["images", "them"];
  return fault(
    "NOT_FOUND",
    `${what} ${named} not found in namespace "${namespace}": pull or load ${it} first`,
  );
}
