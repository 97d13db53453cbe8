// SPDX-License-Identifier: Apache-2.0
import { type FaultOptions, fault, isFault, type RuntimeFault } from "../../base/errors.ts";

/** Details of a fault of a registry, a token server or a proxy, or of the way there: and not of this node. */
export const ofRegistry = { ofRegistry: true } as const;

/** UNAVAILABLE, since a registry or the way there is broken. */
export function registryFault(
  message: string,
  { cause, details }: FaultOptions = {},
): RuntimeFault {
  return fault("UNAVAILABLE", message, { cause, details: { ...details, ...ofRegistry } });
}

/** Whether a registry cannot be had: stores and threads of this node that fail have the same code. */
export function isRegistryUnavailable(error: unknown): error is RuntimeFault {
  return isFault(error, "UNAVAILABLE") && error.details?.["ofRegistry"] === true;
}
