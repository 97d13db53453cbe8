// SPDX-License-Identifier: Apache-2.0
import { DirectLauncher } from "./direct-launcher.ts";
import { HelperLauncher } from "./helper-launcher.ts";
import type { ShimLauncher } from "./launcher.ts";
import type { ShimSurroundings } from "./shim-flags.ts";

/** Launches each shim the way that its request says. */
export function createLauncher(surroundings: ShimSurroundings): ShimLauncher {
  const helper = new HelperLauncher(surroundings);
  const direct = new DirectLauncher(surroundings);
  return {
    launch: (request, call) => (request.isDirect ? direct : helper).launch(request, call),
    cleanUp: (request, call) => helper.cleanUp(request, call),
  };
}
