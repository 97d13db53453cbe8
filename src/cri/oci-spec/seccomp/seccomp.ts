// SPDX-License-Identifier: Apache-2.0
import { errnoOf, isFault, toFault } from "../../../base/errors.ts";
import { invalid, unsupported } from "../../../base/invalid-field.ts";
import { readBounded } from "../../../base/read-bounded.ts";
import type { SecurityProfile } from "../../../gen/cri.gen.ts";
import type { OciSeccomp } from "../../../oci/spec.ts";
import type { HostFacts } from "../ports.ts";
import { defaultSeccompProfile } from "./default-profile.ts";
import { profileContext } from "./profile-context.ts";
import type { ProfileReader } from "./profile-reader.ts";

const field = "linux.security_context.seccomp";

export interface SeccompRequest {
  readonly profile: SecurityProfile | null;
  /** The field that came before: "", "unconfined", "runtime/default" or "localhost/PATH". */
  readonly legacyPath: string;
  /** What the configuration gives a container that asks for nothing, in the legacy form. */
  readonly unsetProfile: string;
  readonly privileged: boolean;
  readonly capabilities: readonly string[];
}

/** What profiles that others wrote come from, and go through. */
export interface ProfileSources {
  /** The text of a pulled profile; NOT_FOUND when no profile was pulled by that name. */
  readonly pulledProfile: (reference: string) => Promise<Buffer>;
  readonly profiles: ProfileReader;
}

type Host = Pick<HostFacts, "seccomp" | "architecture" | "kernelRelease">;

/** "keep" leaves what the base spec has; undefined means unconfined. */
export type SeccompChoice = OciSeccomp | undefined | "keep";

/**
 * The filter of a container. Privileged containers have none, whatever the request says; without a
 * request the configured default holds, and without that the base spec's own.
 */
export async function seccompProfile(
  request: SeccompRequest,
  host: Host,
  sources: ProfileSources,
): Promise<SeccompChoice> {
  if (request.privileged) return undefined;
  const profile =
    request.profile ?? fromLegacy(request.legacyPath) ?? fromLegacy(request.unsetProfile);
  if (profile === undefined) return "keep";
  const type: string = profile.profileType;
  if (type === "Unconfined") return undefined;
  if (!host.seccomp) throw unsupported(field, "the kernel of this host has no seccomp filters");
  if (type === "RuntimeDefault") {
    return defaultSeccompProfile(request.capabilities, host.architecture);
  }
  const from = { ...sources, context: profileContext(request.capabilities, host) };
  if (type === "OCI") return readPulled(profile, from);
  if (type !== "Localhost") throw invalid(`${field}.profile_type`, `unknown type "${type}"`);
  return readFile(stripPrefix(profile.localhostRef), from);
}

type From = ProfileSources & { readonly context: ReturnType<typeof profileContext> };

/** What a pulled profile and its base both let through. */
async function readPulled(
  { ociRef, baseProfile }: SecurityProfile,
  from: From,
): Promise<OciSeccomp> {
  const { pulledProfile, profiles, context } = from;
  const text = await pulledProfile(ociRef);
  // Absent and RuntimeDefault are one.
  const base =
    baseProfile?.type === "Localhost"
      ? await readFile(baseProfile.localhostRef, from, "base_profile.localhost_ref")
      : undefined;
  const what = `profile "${ociRef}"`;
  try {
    return await profiles.read({ kind: "pulled", what, text, context, base });
  } catch (error) {
    throw unusable("oci_ref", what, error);
  }
}

const maxProfileBytes = 1024 * 1024;

async function readFile(
  path: string,
  { profiles, context }: From,
  part = "localhost_ref",
): Promise<OciSeccomp> {
  if (!path.startsWith("/")) {
    throw invalid(`${field}.${part}`, `"${path}" is not an absolute path`);
  }
  const what = `profile "${path}"`;
  try {
    // The pod names it: not for ever, as of a FIFO or /dev/zero, and not at any length.
    const text = await readBounded(path, maxProfileBytes, { follow: true });
    return await profiles.read({ kind: "file", what, text, context });
  } catch (error) {
    throw unusable(part, what, error);
  }
}

/** INVALID_ARGUMENT; but the profile is not to blame for what the daemon lacks. */
function unusable(part: string, what: string, error: unknown): unknown {
  if (isFault(error, "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "UNAVAILABLE")) return error;
  const problem = isFault(error) ? error.message : (errnoOf(error) ?? toFault(error).message);
  return invalid(`${field}.${part}`, `cannot use ${what}: ${problem}`, error);
}

function fromLegacy(path: string): SecurityProfile | undefined {
  switch (path) {
    case "":
      return undefined;
    case "unconfined":
      return legacyProfile("Unconfined");
    case "runtime/default":
    case "docker/default":
      return legacyProfile("RuntimeDefault");
    default:
      if (path.startsWith("localhost/")) return legacyProfile("Localhost", path);
      throw invalid("linux.security_context.seccomp_profile_path", `unknown profile "${path}"`);
  }
}

function legacyProfile(
  profileType: SecurityProfile["profileType"],
  localhostRef = "",
): SecurityProfile {
  return { profileType, localhostRef, ociRef: "", baseProfile: null };
}

function stripPrefix(reference: string): string {
  return reference.startsWith("localhost/") ? reference.slice("localhost/".length) : reference;
}
