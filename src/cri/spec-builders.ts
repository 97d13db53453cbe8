// SPDX-License-Identifier: Apache-2.0
import type { SpecBuilders } from "./ports.ts";
import { buildContainerSpec } from "./spec/build-container-spec.ts";
import { buildSandboxSpec } from "./spec/build-sandbox-spec.ts";
import { openRootfs } from "./spec/rootfs-reader.ts";

/** The spec builders of src/cri/spec. */
export const specBuilders: SpecBuilders = {
  sandbox: buildSandboxSpec,
  container: buildContainerSpec,
  openRootfs,
};
