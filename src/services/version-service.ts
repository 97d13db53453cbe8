// SPDX-License-Identifier: Apache-2.0
import type { ServiceImpl } from "../rpc/service.ts";

/** Version: what `ctr version` shows as the server's. */
export function createVersionService(facts: {
  readonly version: string;
  /** The source revision; "" when unknown. */
  readonly revision: string;
}): ServiceImpl<"containerd.services.version.v1.Version"> {
  return { Version: async () => facts };
}
