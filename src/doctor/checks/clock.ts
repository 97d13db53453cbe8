// SPDX-License-Identifier: Apache-2.0
import type { Check } from "../check.ts";
import { error, note, ok, warning } from "../finding.ts";
import { packageCommand } from "../package-command.ts";

/** This was not written before. */
const firstMs = Date.UTC(2026, 0, 1);
const aheadMs = 5 * 60_000;
const keepers = ["chronyd", "ntpd", "systemd-timesyn", "ptp4l", "phc2sys", "openntpd"];

export const clock: Check = {
  name: "clock",
  about: "the node's clock",
  run: async (patient) => {
    const { host, layout } = patient;
    const now = new Date().toISOString();
    const certificates =
      "certificates seem not to hold yet, and registries and the API server are not trusted";
    if (Date.now() < firstMs) {
      return [
        error({
          what: `the clock says ${now}`,
          why: certificates,
          mend: "timedatectl set-ntp true; chronyc -a makestep; date",
        }),
      ];
    }
    const newest = await host.stat(layout.database);
    if (newest !== undefined && newest.mtimeMs > Date.now() + aheadMs) {
      const written = newest.mtime.toISOString();
      return [
        warning({
          what: `${layout.database} was written at ${written}, and the clock says ${now}: it went back`,
          why: "ages of pods and images, and the order of what is collected, are wrong",
          mend: "timedatectl set-ntp true; chronyc -a makestep; date",
        }),
      ];
    }
    const names = new Set((await patient.processes()).map(({ name }) => name));
    if (keepers.some((name) => names.has(name))) return [ok(`the clock says ${now}, and is kept`)];
    return [
      note({
        what: "nothing on this node keeps the clock right",
        why: `${certificates}, once it is off by more than minutes`,
        mend: `${await packageCommand(host, "chrony")} && systemctl enable --now chronyd`,
      }),
    ];
  },
};
