// SPDX-License-Identifier: Apache-2.0
// The real runtime keeps the promises of the port, with every shim that this machine has.
import path from "node:path";
import { platformRuntimeSuite } from "../../support/runtime-suite.ts";
import { availableShims, lacking, namespace, Rig } from "./rig.ts";

for (const shim of availableShims()) {
  platformRuntimeSuite(
    `TaskManager with ${path.basename(shim)}`,
    async () => {
      const rig = await Rig.make(shim);
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
