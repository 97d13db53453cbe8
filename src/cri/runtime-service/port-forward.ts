// SPDX-License-Identifier: Apache-2.0
import type { Facade, Verb } from "../facade.ts";
import { readySandbox } from "../sandbox/ready-sandbox.ts";

/**
 * PortForward: a URL to the pod's ports. FAILED_PRECONDITION unless the pod is ready;
 * INVALID_ARGUMENT, from the server, for a number that is no port.
 */
export function portForward(facade: Facade): Verb<"PortForward"> {
  return async ({ podSandboxId, port }, call) => {
    const { id } = readySandbox(facade, podSandboxId);
    return {
      url: await facade.streaming.server().portForward({ sandboxId: id, ports: port }, call),
    };
  };
}
