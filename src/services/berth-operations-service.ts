// SPDX-License-Identifier: Apache-2.0
import type { ServiceImpl } from "../rpc/service.ts";

/** A call of CRI that is at work. */
export interface RunningOperation {
  readonly rpc: string;
  /** Id or name of what it works on. */
  readonly object: string;
  /** Since it began. */
  readonly seconds: number;
  /** Stages that run now; several when work is done side by side. */
  readonly stages: readonly { readonly stage: string; readonly seconds: number }[];
  /** Of a pull or a push. */
  readonly bytes?: { readonly done: number; readonly total: number };
}

/** What the daemon is doing now. Answers from memory. */
export function createBerthOperationsService(
  list: () => readonly RunningOperation[],
): ServiceImpl<"berth.v1.Operations"> {
  return {
    List: async ({ object }) => ({
      operations: list()
        .filter((operation) => object === "" || operation.object === object)
        .map(({ rpc, object, seconds, stages, bytes }) => ({
          rpc,
          object,
          seconds,
          stages: stages.map(({ stage, seconds }) => ({ name: stage, seconds })),
          doneBytes: BigInt(bytes?.done ?? 0),
          totalBytes: BigInt(bytes?.total ?? 0),
        })),
    }),
  };
}
