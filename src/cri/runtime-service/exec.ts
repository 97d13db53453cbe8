// SPDX-License-Identifier: Apache-2.0
import { runningContainer } from "../container/exec-target.ts";
import type { Facade, Verb } from "../facade.ts";
import { refuseUnlessRunnable } from "../oci-spec/args.ts";

/**
 * Exec: a URL, good for one client and a minute. FAILED_PRECONDITION unless the container runs;
 * INVALID_ARGUMENT, from the server, without a command or for a mix of streams that cannot be.
 */
export function exec(facade: Facade): Verb<"Exec"> {
  return async ({ containerId, cmd, stdin, stdout, stderr, tty }, call) => {
    const { id } = runningContainer(facade, containerId, "exec in");
    refuseUnlessRunnable("cmd", cmd);
    const target = { containerId: id, command: cmd, stdin, stdout, stderr, tty };
    return { url: await facade.streaming.server().exec(target, call) };
  };
}
