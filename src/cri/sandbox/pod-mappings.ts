// SPDX-License-Identifier: Apache-2.0
import type { Facade } from "../facade.ts";
import { handlerFor } from "../handlers.ts";
import { type UserMappings, userMappings } from "../spec/user-namespace.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";

/**
 * The ids of a pod's user namespace; undefined for a pod in the host's. INVALID_ARGUMENT or
 * FAILED_PRECONDITION for what cannot be: the first who asks is the pod's start.
 */
export function podMappings(
  { ports }: Facade,
  { config, runtimeHandler }: Pick<SandboxRecord, "config" | "runtimeHandler">,
): UserMappings | undefined {
  const options = config.linux?.securityContext?.namespaceOptions?.usernsOptions;
  const handler = handlerFor(ports.config.runtime, runtimeHandler);
  return userMappings(options, ports.features(handler.name));
}
