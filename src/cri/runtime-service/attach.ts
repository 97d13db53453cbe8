// SPDX-License-Identifier: Apache-2.0
import { runningContainer } from "../container/exec-target.ts";
import type { Facade, Verb } from "../facade.ts";

/** Attach: a URL to the container's own streams. Refused as Exec is. */
export function attach(facade: Facade): Verb<"Attach"> {
  return async ({ containerId, stdin, stdout, stderr, tty }, call) => {
    const { id } = runningContainer(facade, containerId, "attach to");
    const target = { containerId: id, stdin, stdout, stderr, tty };
    return { url: await facade.streaming.server().attach(target, call) };
  };
}
