// SPDX-License-Identifier: Apache-2.0
import type { RuntimeConfig, RuntimeHandlerConfig } from "../../config/config.ts";

/**
 * How the shims of a runtime start. The task service knows a runtime by its name and path, so handlers
 * that share both share the more careful of their ways.
 */
export function shimLaunchOf(
  { handlers }: Pick<RuntimeConfig, "handlers">,
  runtime: string,
  shim: string,
): RuntimeHandlerConfig["shimLaunch"] {
  const wanted = Object.values(handlers)
    .filter((handler) => handler.type === runtime && handler.shim === shim)
    .map((handler) => handler.shimLaunch);
  return wanted.find((launch) => launch === "helper") ?? wanted[0] ?? "auto";
}
