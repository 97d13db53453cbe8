// SPDX-License-Identifier: Apache-2.0

/** A figure at a moment, which is counted in cycles. */
export interface Sample {
  readonly at: number;
  readonly value: number;
}

/** The slope above which a figure grows, and how much it must have grown by it for the slope to count. */
export interface TrendLimits {
  readonly slope: number;
  readonly growth: number;
  /** Of fewer samples nobody can tell: what goes up and down by itself looks like a slope. */
  readonly leastSamples: number;
}

export interface Trend {
  /** Units a cycle; the median of the slopes between any two samples (Theil and Sen), which single peaks do not move. */
  readonly slope: number;
  /** What that makes over the samples that were looked at. */
  readonly growth: number;
  readonly isGrowing: boolean;
}

/** Looks at the last 80 % of the samples; undefined where they are too few to tell. */
export function trendOf(samples: readonly Sample[], limits: TrendLimits): Trend | undefined {
  const last = samples.slice(Math.floor(samples.length * 0.2));
  if (last.length < limits.leastSamples) return undefined;
  const slopes: number[] = [];
  for (const [index, from] of last.entries()) {
    for (const to of last.slice(index + 1)) {
      if (to.at > from.at) slopes.push((to.value - from.value) / (to.at - from.at));
    }
  }
  const slope = median(slopes);
  const growth = slope * ((last.at(-1)?.at ?? 0) - (last[0]?.at ?? 0));
  return { slope, growth, isGrowing: slope > limits.slope && growth > limits.growth };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}
