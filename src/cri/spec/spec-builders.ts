// SPDX-License-Identifier: Apache-2.0
import type { SpecBuilders } from "../ports.ts";
import { buildContainerSpec } from "./build-container-spec.ts";
import { buildSandboxSpec } from "./build-sandbox-spec.ts";
import { openRootfs } from "./rootfs-reader.ts";

/** The spec builders of src/cri/spec. */
export const specBuilders: SpecBuilders = {
  sandbox: buildSandboxSpec,
  container: buildContainerSpec,
  openRootfs,
};
