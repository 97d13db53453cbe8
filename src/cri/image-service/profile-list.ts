// SPDX-License-Identifier: Apache-2.0
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "profiles">;

/** ListSecurityProfiles: all that have been pulled and not removed. */
export function listSecurityProfiles({ profiles }: Needs): Verb<"ListSecurityProfiles"> {
  return async () => ({
    profiles: profiles
      .list()
      .map(({ digest, refs, sizeBytes }) => ({ digest, refs: [...refs], size: BigInt(sizeBytes) })),
  });
}
