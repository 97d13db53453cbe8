// SPDX-License-Identifier: Apache-2.0
import type { Check } from "../check.ts";
import { error, ok, warning } from "../finding.ts";

export const configuration: Check = {
  name: "config",
  about: "the configuration of berthd",
  run: async ({ configuration: { problem, warnings, sources, file } }) => {
    if (problem !== undefined) {
      return [
        error({
          what: problem,
          why: "berthd does not start with it, and a reload refuses it; what follows was looked at with the defaults",
          mend: `berthd config check --config '${file}'`,
        }),
      ];
    }
    const read = sources.length === 0 ? "the defaults, there is no file" : sources.join(", ");
    return [
      ok(`the configuration is valid: ${read}`),
      ...warnings.map((what) =>
        warning({
          what,
          why: "it is read, and does not do what it seems to say",
          mend: `berthd config check --config '${file}'`,
        }),
      ),
    ];
  },
};
