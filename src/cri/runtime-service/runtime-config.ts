// SPDX-License-Identifier: Apache-2.0

import { handlerFor } from "../handlers/handlers.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

/** RuntimeConfig: the cgroup driver; a kubelet asks once, at its start, and follows. */
export function runtimeConfig(parts: Pick<CriParts, "config">): Verb<"RuntimeConfig"> {
  return () => {
    const { config } = handlerFor(parts.config.runtime, "");
    return Promise.resolve({
      linux: { cgroupDriver: config.systemdCgroup ? "SYSTEMD" : "CGROUPFS" },
    });
  };
}

/** UpdateRuntimeConfig: the pod CIDR is CNI's business here, so it is only logged. */
export function updateRuntimeConfig({ log }: Pick<CriParts, "log">): Verb<"UpdateRuntimeConfig"> {
  return (request) => {
    const podCidr = request.runtimeConfig?.networkConfig?.podCidr ?? "";
    log.info({ podCidr }, "pod CIDR received; networks are configured by CNI files");
    return Promise.resolve({});
  };
}
