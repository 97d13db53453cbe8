// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { sleep } from "../base/timers.ts";

export interface DownTimes {
  readonly downMs: number;
  readonly steadyMs: number;
  /** Between two looks. */
  readonly lookMs: number;
}

/** Some rounds of a kubelet that ends at once; kubeadm's unit has `RestartSec=10`. */
const usual: DownTimes = { downMs: 60_000, steadyMs: 10_000, lookMs: 1_000 };

interface KubeletLook {
  readonly kubeletRuns: () => Promise<boolean>;
  readonly downTimes?: DownTimes;
  readonly say: (line: string) => void;
}

/**
 * Whether there is no kubelet, and none that lives comes: one that is started again, by systemd or an operator, is away for a
 * while, and ends pods as before. One that ends soon after each start is down.
 */
export async function staysDown(
  { kubeletRuns, downTimes = usual, say }: KubeletLook,
  call: Cancellable,
): Promise<boolean> {
  if (await kubeletRuns()) return false;
  const { downMs, steadyMs, lookMs } = downTimes;
  say(`waiting: no kubelet runs: whether one comes in ${downMs / 1000} s`);
  const since = performance.now();
  let upSince: number | undefined;
  while (upSince !== undefined || performance.now() - since < downMs) {
    await sleep(lookMs, call);
    if (!(await kubeletRuns())) {
      upSince = undefined;
      continue;
    }
    upSince ??= performance.now();
    if (performance.now() - upSince >= steadyMs) return false;
  }
  return true;
}
