// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import { handlerFor, type PodHandler } from "../handlers/handlers.ts";
import { type UserMappings, userMappings } from "../oci-spec/user-namespace.ts";
import type { CriParts } from "../parts.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";

export type HandlerNeeds = Pick<CriParts, "config" | "features">;
export type HandlerOfPodNeeds = HandlerNeeds & Pick<CriParts, "sandboxes">;

/**
 * The handler that a pod was made with. While its configuration is still the same, what its OCI runtime
 * can do is what that can do now: it may have been replaced by a newer one. Pods of daemons that did not
 * record it have what is configured under the name; NOT_FOUND when that is nothing.
 */
export function podHandler(
  { config, features }: HandlerNeeds,
  { handler, runtimeHandler }: Pick<SandboxRecord, "handler" | "runtimeHandler">,
): PodHandler {
  const { runtime } = config;
  if (handler === undefined) {
    const now = handlerFor(runtime, runtimeHandler);
    return { ...now, features: features(now.name) };
  }
  const now = Object.hasOwn(runtime.handlers, handler.name)
    ? runtime.handlers[handler.name]
    : undefined;
  if (!isDeepStrictEqual(now, handler.config)) return handler;
  return { ...handler, features: features(handler.name) };
}

/** That of a container's pod; the default one where the pod is gone. */
export function handlerOfPod(parts: HandlerOfPodNeeds, sandboxId: string): PodHandler {
  return podHandler(parts, parts.sandboxes.get(sandboxId) ?? { runtimeHandler: "" });
}

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
