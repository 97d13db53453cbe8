// SPDX-License-Identifier: Apache-2.0

import { RememberedFiles } from "../../oci/rootfs/remembered-files.ts";
import { openRootfs } from "../../oci/rootfs/rootfs-reader.ts";
import type { TreeWork } from "../../trees/ports.ts";
import type { SpecBuilders } from "../ports.ts";
import { buildContainerSpec } from "./build-container-spec.ts";
import { buildSandboxSpec } from "./build-sandbox-spec.ts";
import type { SpecServices } from "./ports.ts";

/** The spec builders of src/cri/oci-spec; `work` is for what images hold. */
export function createSpecBuilders(services: SpecServices, work: TreeWork): SpecBuilders {
  const files = new RememberedFiles();
  return {
    sandbox: (input) => buildSandboxSpec(input, services),
    container: (input) => buildContainerSpec(input, services),
    openRootfs: (layers) => openRootfs(layers, { work, files }),
    describe: () => ({ apparmor: services.apparmor.byDefault.describe() }),
  };
}
