// SPDX-License-Identifier: Apache-2.0
import type { CgroupLayout } from "../metrics/cgroup/cgroup-layout.ts";
import { oomKills } from "../metrics/cgroup/read-sample.ts";
import type { OomProbe } from "./ports.ts";

/** Reads OOM kills from the cgroup's own files: the shim's event may come too late for the exit. */
export function cgroupOomProbe(layout: CgroupLayout): OomProbe {
  return {
    kills: async (cgroupsPath) => {
      if (cgroupsPath === "") return 0;
      try {
        return Number((await oomKills(layout.locate(cgroupsPath))) ?? 0n);
      } catch {
        return 0; // an exit without its reason is worth more than no exit
      }
    },
  };
}
