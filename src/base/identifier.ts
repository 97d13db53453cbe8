// SPDX-License-Identifier: Apache-2.0
import { fault } from "./errors.ts";

const maxLength = 76;
const pattern = /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/;

/**
 * Checks an id or a namespace by containerd's rule: letters and digits, single `.`, `_` or `-` between them, at most
 * 76 characters. INVALID_ARGUMENT names the rule that is broken, and the value as `what`.
 */
export function checkIdentifier(what: string, id: string): void {
  if (id === "") throw fault("INVALID_ARGUMENT", `${what} must not be empty`);
  if (id.length > maxLength) {
    throw fault(
      "INVALID_ARGUMENT",
      `${what} "${id}" is too long: ${id.length} characters, the limit is ${maxLength}`,
    );
  }
  if (!pattern.test(id)) {
    throw fault(
      "INVALID_ARGUMENT",
      `${what} "${id}" is invalid: it must be letters and digits, with single ".", "_" or "-" between`,
    );
  }
}
