// SPDX-License-Identifier: Apache-2.0

import { validateByDefault } from "./merge/validate-by-default.ts";
import { AskedPlugins } from "./node-plugins.ts";
import type { NriOptions } from "./nri.ts";
import { type PendingObjects, PluginSet } from "./plugin-set.ts";
import type { NriSettings } from "./settings.ts";

/** Who asks plugins, and those that are asked: what a node without plugins never needs, and so never loads. */
export interface AskedHalf {
  readonly plugins: AskedPlugins;
  readonly set: PluginSet;
}

export function createAskedHalf(
  { node, runtime, log, validate = validateByDefault, watch }: NriOptions,
  settings: () => NriSettings,
  pending: PendingObjects,
): AskedHalf {
  const needs = { settings, log };
  const set = new PluginSet({ ...needs, node, runtime, watch, pending });
  return { set, plugins: new AskedPlugins({ ...needs, set, validate }) };
}
