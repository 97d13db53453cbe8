// SPDX-License-Identifier: Apache-2.0
import type { PodName } from "../../events/pod-facts.ts";
import type { CriParts } from "../parts.ts";

export type PodOfNeeds = Pick<CriParts, "containers" | "sandboxes">;

/** A pod, and which of its containers is meant; "" for none. */
export interface PodPart {
  readonly pod: PodName;
  readonly container: string;
}

/**
 * Whose an id of a sandbox or a container is, or a name under which one is being made; undefined for what is gone, or not
 * a pod's. From memory.
 */
export function podOf(parts: PodOfNeeds, idOrName: string): PodPart | undefined {
  const container = parts.containers.get(idOrName);
  const sandbox = parts.sandboxes.get(container?.sandboxId ?? idOrName);
  const metadata = sandbox?.config.metadata;
  if (metadata)
    return { pod: podName(metadata), container: container?.config.metadata?.name ?? "" };
  return container ? undefined : reservedFor(idOrName);
}

export function podName({ namespace, name, uid }: PodName): PodName {
  return { namespace, name, uid };
}

/** Backwards from sandboxName and containerName of validate.ts: what a kubelet names has no underscores. */
function reservedFor(reserved: string): PodPart | undefined {
  const parts = reserved.split("_").toReversed();
  const [, uid = "", namespace = "", name = "", container = ""] = parts;
  if (parts.length < 4 || parts.length > 5 || uid === "" || namespace === "" || name === "") {
    return undefined;
  }
  return { pod: { namespace, name, uid }, container };
}
