// SPDX-License-Identifier: Apache-2.0

import { invalid, unsupported } from "../../../base/invalid-field.ts";
import type { SecurityProfile } from "../../../gen/cri.gen.ts";
import type { DefaultAppArmorProfile } from "./default-profile.ts";

const field = "linux.security_context.apparmor";

export interface AppArmorRequest {
  readonly profile: SecurityProfile | null;
  /** The field that came before: "", "unconfined", "runtime/default" or "localhost/NAME". */
  readonly legacy: string;
  readonly privileged: boolean;
  /** Of the handler's base spec: the administrator's word for who asks for nothing. */
  readonly base?: string | undefined;
}

/** What profiles this host has. */
export interface AppArmorProfiles {
  readonly byDefault: DefaultAppArmorProfile;
  /** Whether the kernel has a profile of that name. */
  readonly isLoaded: (name: string) => Promise<boolean>;
}

/**
 * The profile's name for `process.apparmorProfile`, or undefined for none. A profile that the host
 * cannot apply, or that is not loaded, is refused: a pod must never run less confined than it asks.
 * One that asks for nothing gets the default where there is one.
 */
export async function apparmorProfile(
  request: AppArmorRequest,
  host: { readonly apparmor: boolean },
  { byDefault, isLoaded }: AppArmorProfiles,
): Promise<string | undefined> {
  const wanted = wantedProfile(request);
  if (wanted.kind === "unset" && request.base) return request.base;
  if (wanted.kind === "unconfined") return undefined;
  if (!host.apparmor) {
    if (wanted.kind === "unset") return undefined;
    throw unsupported(field, "the kernel of this host has no AppArmor");
  }
  if (wanted.kind === "localhost" && wanted.name !== byDefault.name) {
    if (await isLoaded(wanted.name)) return wanted.name;
    throw unsupported(
      field,
      `profile "${wanted.name}" is not loaded; load it with apparmor_parser`,
    );
  }
  // A privileged container is not held by the default; only a profile by name reaches it.
  if (request.privileged && wanted.kind !== "localhost") return undefined;
  const problem = await byDefault.ensure();
  if (problem === undefined) return byDefault.name;
  if (wanted.kind === "unset") return undefined;
  throw unsupported(field, problem);
}

type Wanted =
  | { readonly kind: "unset" | "default" | "unconfined" }
  | { readonly kind: "localhost"; readonly name: string };

function wantedProfile({ profile, legacy }: AppArmorRequest): Wanted {
  if (profile !== null) {
    const type: string = profile.profileType;
    switch (type) {
      case "RuntimeDefault":
        return { kind: "default" };
      case "Unconfined":
        return { kind: "unconfined" };
      case "Localhost":
        return localhost(profile.localhostRef);
      case "OCI":
        throw invalid(`${field}.profile_type`, "AppArmor profiles cannot come from OCI artifacts");
      default:
        throw invalid(`${field}.profile_type`, `unknown type "${type}"`);
    }
  }
  if (legacy === "") return { kind: "unset" };
  if (legacy === "runtime/default") return { kind: "default" };
  if (legacy === "unconfined") return { kind: "unconfined" };
  if (legacy.startsWith("localhost/")) return localhost(legacy);
  throw invalid("linux.security_context.apparmor_profile", `unknown profile "${legacy}"`);
}

function localhost(reference: string): Wanted {
  const name = reference.startsWith("localhost/") ? reference.slice(10) : reference;
  if (name === "") throw invalid(`${field}.localhost_ref`, "is empty");
  return { kind: "localhost", name };
}
