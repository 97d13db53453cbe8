// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { ContainerConfig, PodSandboxConfig } from "../gen/cri.gen.ts";
import type { OciSpec } from "../oci/spec.ts";

/** The operator's say on what is created: the spec to use, or FAILED_PRECONDITION for a veto. */
export interface SpecReview {
  sandbox(
    request: { readonly id: string; readonly config: PodSandboxConfig; readonly spec: OciSpec },
    call: Cancellable,
  ): Promise<OciSpec>;
  container(
    request: {
      readonly id: string;
      readonly sandbox: { readonly id: string; readonly config: PodSandboxConfig };
      readonly config: ContainerConfig;
      readonly spec: OciSpec;
    },
    call: Cancellable,
  ): Promise<OciSpec>;
}
