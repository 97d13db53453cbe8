// SPDX-License-Identifier: Apache-2.0
import type { Check } from "../check.ts";
import { note, ok, warning } from "../finding.ts";
import { findLeftovers } from "../leftovers/find-leftovers.ts";

export const leftovers: Check = {
  name: "leftovers",
  about: "what is left of pods that are gone",
  needsConfig: true,
  run: async (patient) => {
    const { leftovers: found, reason } = await findLeftovers(patient);
    if (reason !== "") {
      const what = `nobody can tell what is left of pods that are gone: ${reason}`;
      const why = "what a pod has is told by berthd, or while it is down by its database";
      const mend =
        patient.configuration.problem === undefined
          ? "systemctl restart berthd; berth doctor --only leftovers"
          : "berth doctor --only config";
      return [note({ what, why, mend })];
    }
    if (found.length === 0) return [ok("nothing is left of pods that are gone")];
    return found.map(({ what, why, mend, remove }) =>
      remove === undefined
        ? note({ what, why, mend })
        : warning({ what, why, mend: mend || "berth doctor --only leftovers --fix" }),
    );
  },
};
