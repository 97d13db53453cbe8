// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "../../../base/errors.ts";

/** What commands say of images that the daemon does not have, with a hint; all of them are named. */
export function unknownImages(references: readonly string[], namespace: string): RuntimeFault {
  const it = references.length === 1 ? "it" : "them";
  const { message } = missingImages(references, namespace);
  return fault("NOT_FOUND", `${message}: pull or load ${it} first`);
}

/** The same for commands that take something away, in which case there is nothing to be done about it. */
export function missingImages(references: readonly string[], namespace: string): RuntimeFault {
  const named = references.map((one) => `"${one}"`).join(", ");
  const what = references.length === 1 ? "image" : "images";
  return fault("NOT_FOUND", `${what} ${named} not found in namespace "${namespace}"`);
}
