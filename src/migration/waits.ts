// SPDX-License-Identifier: Apache-2.0

/** As long as it is the same. */
const againMs = 30_000;

/**
 * Says what is waited for: when it begins, when its reason is another, and once in half a minute. What `isUsual` is said
 * only when it takes longer than that.
 */
export function openWaits(say: (line: string) => void): {
  readonly told: (what: string, why: string, isUsual?: boolean) => void;
} {
  const last = new Map<string, { readonly why: string; readonly at: number }>();
  return {
    told: (what, why, isUsual = false) => {
      const known = last.get(what);
      const now = performance.now();
      if (known?.why === why && now - known.at < againMs) return;
      last.set(what, { why, at: now });
      if (isUsual && known?.why !== why) return;
      say(`waiting: ${what}: ${why}`);
    },
  };
}
