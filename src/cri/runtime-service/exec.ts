// SPDX-License-Identifier: Apache-2.0
import { type RunningNeeds, runningContainer } from "../container/exec-target.ts";
import { refuseUnlessRunnable } from "../oci-spec/args.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = RunningNeeds & Pick<CriParts, "streaming">;

/**
 * Exec: a URL, good for one client and a minute. FAILED_PRECONDITION unless the container runs;
 * INVALID_ARGUMENT, from the server, without a command or for a mix of streams that cannot be.
 */
export function exec(parts: Needs): Verb<"Exec"> {
  return async ({ containerId, cmd, stdin, stdout, stderr, tty }, call) => {
    const { id } = runningContainer(parts, containerId, "exec in");
    refuseUnlessRunnable("cmd", cmd);
    const target = { containerId: id, command: cmd, stdin, stdout, stderr, tty };
    return { url: await parts.streaming.server().exec(target, call) };
  };
}
