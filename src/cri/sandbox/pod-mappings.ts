// SPDX-License-Identifier: Apache-2.0
import { type UserMappings, userMappings } from "../oci-spec/user-namespace.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { type HandlerNeeds, podHandler } from "./pod-handler.ts";

/**
 * The ids of a pod's user namespace; undefined for a pod in the host's. INVALID_ARGUMENT or
 * FAILED_PRECONDITION for what cannot be: the first who asks is the pod's start.
 */
export function podMappings(
  parts: HandlerNeeds,
  pod: Pick<SandboxRecord, "config" | "handler" | "runtimeHandler">,
): UserMappings | undefined {
  const options = pod.config.linux?.securityContext?.namespaceOptions?.usernsOptions;
  return userMappings(options, podHandler(parts, pod).features);
}
