// SPDX-License-Identifier: Apache-2.0
import { type RunningNeeds, runningContainer } from "../container/exec-target.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = RunningNeeds & Pick<CriParts, "streaming">;

/** Attach: a URL to the container's own streams. Refused as Exec is. */
export function attach(parts: Needs): Verb<"Attach"> {
  return async ({ containerId, stdin, stdout, stderr, tty }, call) => {
    const { id } = runningContainer(parts, containerId, "attach to");
    const target = { containerId: id, stdin, stdout, stderr, tty };
    return { url: await parts.streaming.server().attach(target, call) };
  };
}
