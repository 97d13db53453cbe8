// SPDX-License-Identifier: Apache-2.0

/** What a kubelet notices of a pod, in milliseconds. */
export interface Figures {
  readonly exec: number;
  /** ContainerStatus and PodSandboxStatus. */
  readonly status: number;
  /** From a line's write in the container to its place in the log file. */
  readonly line: number;
}

export type Aspect = keyof Figures;
export const aspects: readonly Aspect[] = ["exec", "status", "line"];

/** All that was measured, one number each time. */
export type Samples = Readonly<Record<Aspect, number[]>>;

/** The 99th percentiles of several measurements together. */
export function percentiles(...measured: readonly Samples[]): Figures {
  const of = (aspect: Aspect): number => {
    const sorted = measured.flatMap((samples) => samples[aspect]).sort((one, two) => one - two);
    return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN;
  };
  return { exec: of("exec"), status: of("status"), line: of("line") };
}
