// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { ServiceImpl } from "../rpc/service.ts";

/** A plugin of NRI, and how its calls went. */
export interface ListedPlugin {
  /** Two digits. */
  readonly index: string;
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  /** Why it is late or gone. */
  readonly reason: string | undefined;
  readonly version: string;
  readonly events: readonly string[];
  /** When it connected, in milliseconds since the epoch. */
  readonly since: number;
  /** By the calls' names. */
  readonly calls: Readonly<Record<string, ListedCall>>;
}

export interface ListedCall {
  readonly count: number;
  /** Milliseconds. */
  readonly totalMs: number;
  readonly longestMs: number;
  readonly failures: number;
  readonly adjustments: number;
}

/** The plugins of NRI; undefined where NRI is off. Answers from memory. */
export function createBerthNriService(
  list: () => readonly ListedPlugin[] | undefined,
): ServiceImpl<"berth.v1.Nri"> {
  return {
    List: async ({ name }) => {
      const plugins = list();
      if (plugins === undefined) {
        throw fault("FAILED_PRECONDITION", "NRI is off: [nri] enable is false");
      }
      return {
        plugins: plugins
          .filter((plugin) => ["", plugin.name, `${plugin.index}-${plugin.name}`].includes(name))
          .map(({ since, reason = "", calls, events, ...plugin }) => ({
            ...plugin,
            reason,
            events: [...events],
            seconds: Math.max(0, (Date.now() - since) / 1000),
            calls: Object.entries(calls).map(([call, counts]) => listedCall(call, counts)),
          })),
      };
    },
  };
}

function listedCall(name: string, counts: ListedCall) {
  return {
    name,
    count: BigInt(counts.count),
    totalSeconds: counts.totalMs / 1000,
    longestSeconds: counts.longestMs / 1000,
    failures: BigInt(counts.failures),
    adjustments: BigInt(counts.adjustments),
  };
}
