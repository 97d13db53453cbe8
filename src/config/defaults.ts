// SPDX-License-Identifier: Apache-2.0
import type { Config, OperatorPluginConfig, RuntimeHandlerConfig } from "./config.ts";
import { sections } from "./sections.ts";

const whole: Record<string, unknown> = {};
for (const { key, defaults } of sections) {
  if (key === "") Object.assign(whole, defaults);
  else whole[key] = defaults;
}

/** The configuration of a node without a configuration file, with the paths of Debian's packages. */
export const defaultConfig = whole as unknown as Config;

/** What a handler has whose table leaves the key out. */
export const defaultHandler = emptyTable("runtime") as RuntimeHandlerConfig;

/** What an operator plugin has whose table leaves the key out, or that has no table. */
export const defaultOperatorPlugin = emptyTable("plugins") as OperatorPluginConfig;

/** The table of a free name in which nothing is set. */
function emptyTable(section: string): object | undefined {
  return sections.find(({ key }) => key === section)?.tables?.defaults;
}
