// SPDX-License-Identifier: Apache-2.0
import { errnoOf } from "../../../base/errors.ts";
import { invalid, unsupported } from "../../../base/invalid-field.ts";
import { readBounded } from "../../../base/read-bounded.ts";
import type { SecurityProfile } from "../../../gen/cri.gen.ts";
import type { OciSeccomp } from "../../../oci/spec.ts";
import type { HostFacts } from "../ports.ts";
import { filterArchitectures } from "./allowed-syscalls.ts";
import { defaultSeccompProfile } from "./default-profile.ts";
import { parseSeccompProfile } from "./profile-file.ts";

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

/** "keep" leaves what the base spec has; undefined means unconfined. */
export type SeccompChoice = OciSeccomp | undefined | "keep";

/**
 * The filter of a container. Privileged containers have none, whatever the request says; without a
 * request the configured default holds, and without that the base spec's own.
 */
export async function seccompProfile(
  request: SeccompRequest,
  host: Pick<HostFacts, "seccomp" | "architecture" | "kernelRelease">,
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
  if (type !== "Localhost") throw invalid(`${field}.profile_type`, `unknown type "${type}"`);
  return readProfile(stripPrefix(profile.localhostRef), request.capabilities, host);
}

const maxProfileBytes = 1024 * 1024;

async function readProfile(
  path: string,
  capabilities: readonly string[],
  host: Pick<HostFacts, "architecture" | "kernelRelease">,
): Promise<OciSeccomp> {
  if (!path.startsWith("/")) {
    throw invalid(`${field}.localhost_ref`, `"${path}" is not an absolute path`);
  }
  try {
    // The pod names it: not for ever, as of a FIFO or /dev/zero, and not at any length.
    const text = await readBounded(path, maxProfileBytes, { follow: true });
    return parseSeccompProfile(text.toString(), {
      capabilities,
      architecture: host.architecture,
      nativeArchitecture: filterArchitectures[host.architecture]?.[0] ?? "",
      kernelRelease: host.kernelRelease,
    });
  } catch (error) {
    const problem = errnoOf(error) ?? (error instanceof Error ? error.message : String(error));
    throw invalid(`${field}.localhost_ref`, `cannot use profile "${path}": ${problem}`, error);
  }
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
