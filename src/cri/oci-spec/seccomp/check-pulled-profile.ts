// SPDX-License-Identifier: Apache-2.0
import os from "node:os";
import type { Cancellable } from "../../../base/cancellable.ts";
import { defaultCapabilities } from "../../../oci/capabilities.ts";
import { hostArchitecture } from "../host-facts.ts";
import { profileContext } from "./profile-context.ts";
import type { ProfileReader } from "./profile-reader.ts";

/**
 * Throws an Error for a text that is no seccomp profile, none that may come from a registry, or none that has a common
 * form with the default profile: a pull tells of that, and not the first pod. A container with other capabilities, or
 * another base, may still be refused.
 */
export async function checkPulledProfile(
  text: Uint8Array,
  reader: ProfileReader,
  call: Cancellable,
): Promise<void> {
  const host = { architecture: hostArchitecture(), kernelRelease: os.release() };
  const context = profileContext(defaultCapabilities, host);
  await reader.read({ kind: "pulled", what: "the profile", text, context }, call);
}
