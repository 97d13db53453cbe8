// SPDX-License-Identifier: Apache-2.0
import { invalid } from "../../base/invalid-field.ts";
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "profiles">;

/** RemoveSecurityProfile: idempotent. Containers that were made with it keep their filter. */
export function removeSecurityProfile({ profiles }: Needs): Verb<"RemoveSecurityProfile"> {
  return async ({ digest }) => {
    if (digest === "") throw invalid("digest", "names no profile");
    await profiles.remove(digest);
    return {};
  };
}
