// SPDX-License-Identifier: Apache-2.0

interface Usage {
  readonly usageNanoCores?: number;
  readonly usageCoreNanoSeconds?: number;
  readonly workingSetBytes?: number;
  readonly usedBytes?: number;
}

/** What tests look at of `/stats/summary`; pods and figures may be missing while they are young. */
export interface StatsSummary {
  readonly node: {
    readonly memory: { readonly availableBytes: number };
    readonly runtime: {
      readonly imageFs: {
        readonly usedBytes: number;
        readonly availableBytes: number;
        readonly capacityBytes: number;
      };
    };
  };
  readonly pods: readonly {
    readonly podRef: { readonly name: string };
    readonly containers: readonly {
      readonly name: string;
      readonly cpu?: Usage;
      readonly memory?: Usage;
      readonly rootfs?: Usage;
      readonly logs?: Usage;
    }[];
    readonly memory?: Usage;
    readonly cpu?: Usage;
    readonly network?: { readonly name?: string; readonly rxBytes?: number };
    readonly process_stats?: { readonly process_count?: number };
  }[];
}
