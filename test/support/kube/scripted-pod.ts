// SPDX-License-Identifier: Apache-2.0
import type { V1Pod as ClientPod } from "@kubernetes/client-node";

/** Of the client's type, which is a class, what a pod has. */
export type V1Pod = { [K in keyof ClientPod]: ClientPod[K] };

/** One of the namespace shop, whose uid is its name. */
export function pod(name: string, owner?: { readonly kind: string }): V1Pod {
  const ownerReferences = owner && [
    { ...owner, controller: true, apiVersion: "v1", name: "o", uid: "u" },
  ];
  return {
    metadata: { name, namespace: "shop", uid: name, ...(ownerReferences && { ownerReferences }) },
  };
}
