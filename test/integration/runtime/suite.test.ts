// SPDX-License-Identifier: Apache-2.0
// The real runtime keeps the promises of the port, with every shim that this machine has.
import path from "node:path";
import { platformRuntimeSuite } from "../../support/runtime-suite.ts";
import { availableShims, lacking, launches, namespace, Rig } from "./rig.ts";

const shims = availableShims().flatMap((shim) => launches.map((launch) => ({ shim, launch })));
for (const { shim, launch } of shims) {
  platformRuntimeSuite(
    `TaskManager with ${path.basename(shim)}, started by ${launch}`,
    async () => {
      const rig = await Rig.make(shim, launch);
      return {
        runtime: rig.manager,
        namespace,
        createOptions: (id, args) => rig.options(args, { id }),
        [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
      };
    },
    { skip: lacking() ?? false },
  );
}
