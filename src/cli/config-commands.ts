// SPDX-License-Identifier: Apache-2.0
import { defaultConfig } from "../config/defaults.ts";
import type { LoadedConfig } from "../config/load.ts";
import { renderConfig } from "../config/render.ts";
import type { CliIo } from "./cli-io.ts";

export function printDefaultConfig(io: CliIo): void {
  io.out(renderConfig(defaultConfig, { comments: true }));
}

/** Loading has already thrown when something is wrong. */
export function checkConfigFile(loaded: LoadedConfig, io: CliIo): void {
  for (const warning of loaded.warnings) io.error(`warning: ${warning}\n`);
  const read = loaded.sources.length === 0 ? "no file, the defaults" : loaded.sources.join(", ");
  io.out(`configuration is valid (read: ${read})\n`);
}

export function printEffectiveConfig(loaded: LoadedConfig, io: CliIo, comments: boolean): void {
  for (const warning of loaded.warnings) io.error(`warning: ${warning}\n`);
  io.out(renderConfig(loaded.config, { comments }));
}
