// SPDX-License-Identifier: Apache-2.0
import { invalid } from "../../base/invalid-field.ts";
import type { SecurityProfile } from "../../gen/cri.gen.ts";

/** INVALID_ARGUMENT for fields of a security profile that are not of its type, as the CRI has it, or are missing. */
export function checkProfileFields(
  profile: SecurityProfile | null | undefined,
  field: string,
): void {
  if (!profile) return;
  const { profileType, ociRef, baseProfile } = profile;
  if (profileType !== "OCI") {
    if (ociRef !== "") throw invalid(`${field}.oci_ref`, "is only for profiles of type OCI");
    if (baseProfile) throw invalid(`${field}.base_profile`, "is only for profiles of type OCI");
    return;
  }
  if (ociRef === "") throw invalid(`${field}.oci_ref`, "is required for a profile of type OCI");
  if (baseProfile?.type === "RuntimeDefault" && baseProfile.localhostRef !== "") {
    throw invalid(`${field}.base_profile.localhost_ref`, "is only for a base of type Localhost");
  }
}
