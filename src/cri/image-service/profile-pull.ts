// SPDX-License-Identifier: Apache-2.0
import { badRequest } from "../../images/profiles/profile-artifact.ts";
import { registryAuth } from "./auth-config.ts";
import { imageName } from "./image-name.ts";
import { asRegistryUnavailable } from "./image-pull.ts";
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "profiles">;

/**
 * PullSecurityProfile: of a seccomp profile, by a reference with a digest. Nothing is fetched when it is here. Errors
 * are those of `SecurityProfiles.pull`, and of PullImage where the registry cannot be had.
 */
export function pullSecurityProfile({ profiles }: Needs): Verb<"PullSecurityProfile"> {
  return async ({ image, auth: config, profileKind }, { signal }) => {
    if (profileKind !== "Seccomp") {
      throw badRequest(`profile_kind: "${profileKind}" is not supported, only "Seccomp"`);
    }
    const auth = config ? registryAuth(config) : undefined;
    try {
      return await profiles.pull(imageName(image), { ...(auth && { auth }), signal });
    } catch (error) {
      signal.throwIfAborted();
      throw asRegistryUnavailable(error);
    }
  };
}
