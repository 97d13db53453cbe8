// SPDX-License-Identifier: Apache-2.0
import type { HostFacts } from "../ports.ts";
import { filterArchitectures } from "./allowed-syscalls.ts";
import type { ProfileContext } from "./profile-file.ts";

/** What the rules of a profile may depend on, for a process with these capabilities on this host. */
export function profileContext(
  capabilities: readonly string[],
  { architecture, kernelRelease }: Pick<HostFacts, "architecture" | "kernelRelease">,
): ProfileContext {
  const nativeArchitecture = filterArchitectures[architecture]?.[0] ?? "";
  return { capabilities, architecture, nativeArchitecture, kernelRelease };
}
