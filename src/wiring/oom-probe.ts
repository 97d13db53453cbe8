// SPDX-License-Identifier: Apache-2.0
import type { OomProbe } from "../cri/ports.ts";
import type { CgroupLayout } from "../metrics/cgroup/cgroup-layout.ts";
import { oomKills } from "../metrics/cgroup/read-sample.ts";

/** Reads a cgroup's OOM kills, straight from its files. */
export function oomProbe(layout: CgroupLayout): OomProbe {
  return {
    kills: async (cgroupsPath) => Number((await oomKills(layout.locate(cgroupsPath))) ?? 0n),
  };
}
