// SPDX-License-Identifier: Apache-2.0
import type { PluginConf } from "./conf.ts";
import type { CapabilityArgs } from "./plugin-args.ts";
import { hasVerb } from "./versions.ts";

/** What a plugin's configuration says of every plugin, and of none. */
const plumbing = ["type", "name", "cniVersion", "capabilities"];

/**
 * When ADD of a plugin prints its prevResult and does no more, so that DEL has nothing to undo: read off
 * containernetworking/plugins, 1.1.1 to 1.9.1. It is so without its capability argument, as long as its configuration has
 * none but the keys named here: others, and those in other letter case, which Go takes as well, may be work.
 */
const idleWithout: ReadonlyMap<
  string,
  { readonly argument: string; readonly keys: readonly string[] }
> = new Map([
  [
    "portmap",
    {
      argument: "portMappings",
      keys: [
        "backend",
        "snat",
        "masqAll",
        "markMasqBit",
        "conditionsV4",
        "conditionsV6",
        "externalSetMarkChain",
      ],
    },
  ],
  ["bandwidth", { argument: "bandwidth", keys: [] }],
  ["tuning", { argument: "mac", keys: ["dataDir"] }],
]);

/**
 * True when the plugin has nothing to do for a pod with these arguments, so that running it (4 to 7 ms) can be
 * left out: portmap without a port to map, bandwidth without a limit, tuning with nothing set. False for types that are
 * not known, and for the first plugin of a chain, which has no result to pass on.
 */
export function isIdle(
  { cniVersion }: { readonly cniVersion: string },
  plugin: PluginConf,
  args: CapabilityArgs,
  prevResult: unknown,
): boolean {
  if (prevResult === undefined || !hasVerb(cniVersion, "chains")) return false;
  const known = idleWithout.get(plugin.type);
  if (known === undefined) return false;
  const { argument, keys } = known;
  if (plugin.capabilities.includes(argument) && argument in args) return false;
  return Object.keys(plugin.raw).every((key) => plumbing.includes(key) || keys.includes(key));
}
