// SPDX-License-Identifier: Apache-2.0
import { digestOf } from "../content/digest.ts";
import type { Digest } from "../content/ports.ts";

/**
 * The chain ids of an image's layers, base first: each names a layer together with all below it, and
 * is the name of the committed snapshot that holds them (OCI image specification, layer chain id).
 */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chain;
}
