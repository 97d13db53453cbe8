// SPDX-License-Identifier: Apache-2.0
import { type OneTimer, startTimer } from "../../base/timers.ts";
import type { PodFacts, PodName } from "../../events/pod-facts.ts";
import type { TransferTotals } from "../../images/progress/transfer.ts";

/** A pull that takes no longer is not told of: the kubelet tells its end. */
const firstMs = 30_000;
/** The pause doubles up to this. */
const lastMs = 600_000;
const mib = 2 ** 20;

export interface SlowPull {
  readonly pod: PodName;
  /** As the pod names it. */
  readonly image: string;
  /** How far it is; undefined when that is not known. */
  readonly totals: () => TransferTotals | undefined;
  /** For tests. */
  readonly firstMs?: number;
}

/** Tells how far a pull is, after half a minute and then more and more seldom, until disposed. */
export function tellPullProgress(facts: PodFacts, pull: SlowPull): Disposable {
  const { pod, image, totals } = pull;
  const startedAt = performance.now();
  let pauseMs = pull.firstMs ?? firstMs;
  let timer: OneTimer;
  const plan = (): void => {
    timer = startTimer(() => {
      const seconds = Math.round((performance.now() - startedAt) / 1000);
      const message = `pulling image "${image}" for ${seconds} s: ${describe(totals())}`;
      facts.tell({ kind: "PullProgress", pod, subject: image, message });
      pauseMs = Math.min(2 * pauseMs, lastMs);
      plan();
    }, pauseMs).unref();
  };
  plan();
  return { [Symbol.dispose]: () => timer.stop() };
}

function describe(totals: TransferTotals | undefined): string {
  if (totals === undefined) return "it waits for its turn";
  const { doneBytes, totalBytes, layers, doneLayers, state } = totals;
  if (totalBytes === 0) return state;
  const done = (doneBytes / mib).toFixed(1);
  return `${done} of ${(totalBytes / mib).toFixed(1)} MiB, ${doneLayers} of ${layers} layers done, ${state}`;
}
