// SPDX-License-Identifier: Apache-2.0
import type { Facade, Verb } from "../facade.ts";

/** Version: answers also while the daemon recovers, because a kubelet dials with it. */
export function version(facade: Facade): Verb<"Version"> {
  return () =>
    Promise.resolve({
      version: "0.1.0",
      runtimeName: "berth",
      runtimeVersion: facade.ports.version,
      runtimeApiVersion: "v1",
    });
}
