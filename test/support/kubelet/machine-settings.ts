// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";

/** What a kubelet needs on this kind of machine, whose fill level must not decide, beyond the deployed configuration. */
export async function machineSettings(): Promise<{ readonly evictionHard: object }> {
  const settings = {
    cgroupDriver: "cgroupfs",
    failCgroupV1: false,
    failSwapOn: false,
    enforceNodeAllocatable: [],
    evictionHard: {
      "memory.available": "0%",
      "nodefs.available": "0%",
      "nodefs.inodesFree": "0%",
      "imagefs.available": "0%",
      "imagefs.inodesFree": "0%",
    },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    // Without CAP_SYS_RESOURCE it may not lower its own.
    oomScoreAdj: Number(await readFile("/proc/self/oom_score_adj", "utf8")),
    crashLoopBackOff: { maxContainerRestartPeriod: "2s" },
  };
  return settings;
}
