// SPDX-License-Identifier: Apache-2.0
import type { OciSeccomp } from "../../../oci/spec.ts";
import { type ProfileContext, parseSeccompProfile } from "./profile-file.ts";

/** A pulled profile. It says nothing of the node: a socket to notify would be a path on it. */
export function parsePulledProfile(text: string, context: ProfileContext): OciSeccomp {
  const profile = parseSeccompProfile(text, context);
  const actions = [profile.defaultAction, ...(profile.syscalls ?? []).map(({ action }) => action)];
  if (profile.listenerPath !== undefined || profile.listenerMetadata !== undefined) {
    throw new Error("listenerPath: a profile from a registry names no socket of the node");
  }
  if (actions.includes("SCMP_ACT_NOTIFY")) {
    throw new Error("SCMP_ACT_NOTIFY: a profile from a registry has no listener");
  }
  return profile;
}
