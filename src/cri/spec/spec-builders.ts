// SPDX-License-Identifier: Apache-2.0
import type { SpecBuilders } from "../ports.ts";
import { buildContainerSpec } from "./build-container-spec.ts";
import { buildSandboxSpec } from "./build-sandbox-spec.ts";
import type { SpecServices } from "./ports.ts";
import { rememberFiles } from "./remembered-files.ts";
import { openRootfs } from "./rootfs-reader.ts";

/** The spec builders of src/cri/spec. */
export function createSpecBuilders(services: SpecServices): SpecBuilders {
  return {
    sandbox: (input) => buildSandboxSpec(input, services),
    container: (input) => buildContainerSpec(input, services),
    openRootfs: rememberFiles(openRootfs),
    describe: () => ({ apparmor: services.apparmor.byDefault.describe() }),
  };
}
