// SPDX-License-Identifier: Apache-2.0
import type { SecurityProfile } from "../../gen/cri.gen.ts";
import type { OciSpec } from "../../oci/spec.ts";
import { apparmorProfile } from "./apparmor/apparmor.ts";
import type { SandboxSpecInput, SpecServices } from "./ports.ts";
import { checkProfileFields } from "./profile-fields.ts";
import { seccompProfile } from "./seccomp/seccomp.ts";

/** What a sandbox's security context and a container's have in common; `apparmorProfile` is a container's. */
interface Confinement {
  readonly privileged: boolean;
  readonly seccomp: SecurityProfile | null;
  readonly seccompProfilePath: string;
  readonly apparmor: SecurityProfile | null;
  readonly apparmorProfile?: string;
}

/**
 * Gives a spec its seccomp and AppArmor profiles, which may depend on the capabilities it has. Without
 * a security context those hold that hold for an empty one.
 */
export async function confine(
  spec: OciSpec,
  { security, capabilities }: { security: Confinement | null; capabilities: readonly string[] },
  { cri, host }: Pick<SandboxSpecInput, "cri" | "host">,
  { apparmor, ...sources }: SpecServices,
): Promise<void> {
  checkProfileFields(security?.seccomp, "linux.security_context.seccomp");
  checkProfileFields(security?.apparmor, "linux.security_context.apparmor");
  const privileged = security?.privileged === true;
  const seccomp = await seccompProfile(
    {
      profile: security?.seccomp ?? null,
      legacyPath: security?.seccompProfilePath ?? "",
      unsetProfile: cri.unsetSeccompProfile,
      privileged,
      capabilities,
    },
    host,
    sources,
  );
  if (seccomp === undefined) delete spec.linux.seccomp;
  else if (seccomp !== "keep") spec.linux.seccomp = seccomp;
  const profile = await apparmorProfile(
    {
      profile: security?.apparmor ?? null,
      legacy: security?.apparmorProfile ?? "",
      privileged,
      base: spec.process.apparmorProfile,
    },
    host,
    apparmor,
  );
  if (profile !== undefined) spec.process.apparmorProfile = profile;
}
