// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { checkIdentifier } from "../base/identifier.ts";
import type { CallContext } from "./service.ts";

/** The call's namespace: FAILED_PRECONDITION without one, INVALID_ARGUMENT for a malformed one. */
export function requiredNamespace(context: CallContext): string {
  const { namespace } = context;
  if (!namespace) throw fault("FAILED_PRECONDITION", "namespace is required");
  checkIdentifier("namespace", namespace);
  return namespace;
}
