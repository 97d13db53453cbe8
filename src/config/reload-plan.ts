// SPDX-License-Identifier: Apache-2.0
import type { Config } from "./config.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { decisionFor } from "./reload-decisions.ts";
import { type ConfigChange, diffConfigs } from "./reload-diff.ts";

/** What a reload is to do. */
export interface ReloadPlan {
  /** What holds afterwards: what the files say, but for what waits. Deep-frozen. */
  readonly next: Config;
  readonly changes: readonly ConfigChange[];
  /** What the files say and only a restart brings: each stays as it is. */
  readonly waiting: readonly ConfigChange[];
}

/**
 * Compares what holds with what the files say. `held` tells of keys that would reload and cannot now,
 * because the part of the daemon that they are for is not up.
 */
export function planReload(
  running: Config,
  wanted: Config,
  held: (path: readonly string[]) => boolean,
): ReloadPlan {
  const all = diffConfigs(running, wanted);
  const waits = ({ path }: ConfigChange): boolean => decisionFor(path) === "restart" || held(path);
  const waiting = all.filter(waits);
  const next = structuredClone(wanted);
  for (const { path } of waiting) put(next, path, at(running, path));
  return { next: deepFreeze(next), changes: all.filter((one) => !waits(one)), waiting };
}

type Tree = Record<string, unknown>;

function at(config: Config, path: readonly string[]): unknown {
  return path.reduce<unknown>((tree, name) => (tree as Tree | undefined)?.[name], config);
}

/** Undefined removes: a table that the running configuration does not have. */
function put(config: Config, path: readonly string[], value: unknown): void {
  const table = at(config, path.slice(0, -1)) as Tree;
  const name = path.at(-1) ?? "";
  if (value === undefined) delete table[name];
  else table[name] = value;
}
