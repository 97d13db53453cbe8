// SPDX-License-Identifier: Apache-2.0
import type { CriParts } from "../parts.ts";
import { type ReadyNeeds, readySandbox } from "../sandbox/ready-sandbox.ts";
import type { Verb } from "./verb.ts";

type Needs = ReadyNeeds & Pick<CriParts, "streaming">;

/**
 * PortForward: a URL to the pod's ports. FAILED_PRECONDITION unless the pod is ready;
 * INVALID_ARGUMENT, from the server, for a number that is no port.
 */
export function portForward(parts: Needs): Verb<"PortForward"> {
  return async ({ podSandboxId, port }, call) => {
    const { id } = readySandbox(parts, podSandboxId);
    return {
      url: await parts.streaming.server().portForward({ sandboxId: id, ports: port }, call),
    };
  };
}
