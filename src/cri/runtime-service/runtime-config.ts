// SPDX-License-Identifier: Apache-2.0
import type { Facade, Verb } from "../facade.ts";
import { handlerFor } from "../handlers.ts";

/** RuntimeConfig: the cgroup driver; a kubelet asks once, at its start, and follows. */
export function runtimeConfig(facade: Facade): Verb<"RuntimeConfig"> {
  return () => {
    const { config } = handlerFor(facade.ports.config.runtime, "");
    return Promise.resolve({
      linux: { cgroupDriver: config.systemdCgroup ? "SYSTEMD" : "CGROUPFS" },
    });
  };
}

/** UpdateRuntimeConfig: the pod CIDR is CNI's business here, so it is only logged. */
export function updateRuntimeConfig(facade: Facade): Verb<"UpdateRuntimeConfig"> {
  return (request) => {
    const podCidr = request.runtimeConfig?.networkConfig?.podCidr ?? "";
    facade.ports.log.info({ podCidr }, "pod CIDR received; networks are configured by CNI files");
    return Promise.resolve({});
  };
}
