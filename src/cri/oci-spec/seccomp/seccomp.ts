// SPDX-License-Identifier: Apache-2.0
import { errnoOf } from "../../../base/errors.ts";
import { invalid, unsupported } from "../../../base/invalid-field.ts";
import { readBounded } from "../../../base/read-bounded.ts";
import type { SecurityProfile } from "../../../gen/cri.gen.ts";
import type { OciSeccomp } from "../../../oci/spec.ts";
import type { HostFacts } from "../ports.ts";
import { filterArchitectures } from "./allowed-syscalls.ts";
import { defaultSeccompProfile } from "./default-profile.ts";
import { intersectProfiles } from "./intersect-profiles.ts";
import { type ProfileContext, parseSeccompProfile } from "./profile-file.ts";
import { parsePulledProfile } from "./pulled-profile.ts";

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

/** The text of a pulled profile; NOT_FOUND when no profile was pulled by that name. */
export type ReadPulledProfile = (reference: string) => Promise<Buffer>;

/** "keep" leaves what the base spec has; undefined means unconfined. */
export type SeccompChoice = OciSeccomp | undefined | "keep";

/**
 * The filter of a container. Privileged containers have none, whatever the request says; without a
 * request the configured default holds, and without that the base spec's own.
 */
export async function seccompProfile(
  request: SeccompRequest,
  host: Pick<HostFacts, "seccomp" | "architecture" | "kernelRelease">,
  readPulled: ReadPulledProfile,
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
  if (type === "OCI") return pulledProfile(profile, request.capabilities, host, readPulled);
  if (type !== "Localhost") throw invalid(`${field}.profile_type`, `unknown type "${type}"`);
  return readProfile(stripPrefix(profile.localhostRef), request.capabilities, host);
}

/** What a pulled profile and its base both let through. */
async function pulledProfile(
  { ociRef, baseProfile }: SecurityProfile,
  capabilities: readonly string[],
  host: Pick<HostFacts, "architecture" | "kernelRelease">,
  readPulled: ReadPulledProfile,
): Promise<OciSeccomp> {
  const context = contextOf(capabilities, host);
  const text = await readPulled(ociRef);
  // Absent and RuntimeDefault are one.
  const base =
    baseProfile?.type === "Localhost"
      ? await readProfile(
          baseProfile.localhostRef,
          capabilities,
          host,
          "base_profile.localhost_ref",
        )
      : defaultSeccompProfile(capabilities, host.architecture);
  try {
    const profile = parsePulledProfile(text.toString(), context);
    return intersectProfiles(profile, base, context.nativeArchitecture);
  } catch (error) {
    throw invalid(`${field}.oci_ref`, `cannot use profile "${ociRef}": ${problemOf(error)}`, error);
  }
}

const maxProfileBytes = 1024 * 1024;

async function readProfile(
  path: string,
  capabilities: readonly string[],
  host: Pick<HostFacts, "architecture" | "kernelRelease">,
  part = "localhost_ref",
): Promise<OciSeccomp> {
  if (!path.startsWith("/")) {
    throw invalid(`${field}.${part}`, `"${path}" is not an absolute path`);
  }
  try {
    // The pod names it: not for ever, as of a FIFO or /dev/zero, and not at any length.
    const text = await readBounded(path, maxProfileBytes, { follow: true });
    return parseSeccompProfile(text.toString(), contextOf(capabilities, host));
  } catch (error) {
    throw invalid(`${field}.${part}`, `cannot use profile "${path}": ${problemOf(error)}`, error);
  }
}

function contextOf(
  capabilities: readonly string[],
  { architecture, kernelRelease }: Pick<HostFacts, "architecture" | "kernelRelease">,
): ProfileContext {
  const nativeArchitecture = filterArchitectures[architecture]?.[0] ?? "";
  return { capabilities, architecture, nativeArchitecture, kernelRelease };
}

function problemOf(error: unknown): string {
  return errnoOf(error) ?? (error instanceof Error ? error.message : String(error));
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
