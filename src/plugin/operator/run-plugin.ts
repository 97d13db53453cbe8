// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../../base/logger.ts";
import type { EventExchange } from "../../events/ports.ts";
import { feedEvents } from "./event-feed.ts";
import type { FoundPlugin } from "./find-plugins.ts";
import type { CallResult, ChainMember } from "./plugin-chain.ts";
import type { PluginHost } from "./plugin-host.ts";

export interface RunPluginOptions {
  readonly found: FoundPlugin;
  readonly host: PluginHost;
  /** Its place in the chain: it learns what came of the load. */
  readonly member: ChainMember;
  readonly exchange: EventExchange;
  readonly log: Logger;
  /** Called for each event that it was handed. */
  readonly onEvent: (result: CallResult) => void;
}

/**
 * Loads a plugin and hands it events if it wants them, until disposed. Throws what findPlugins found
 * wrong with it, and the plugin host's errors.
 */
export async function runPlugin(options: RunPluginOptions): Promise<AsyncDisposable> {
  const { found, host, member, exchange, log } = options;
  try {
    if (found.error) throw found.error;
    await host.load();
  } catch (loadError) {
    member.state = { loadError: loadError as Error };
    throw loadError;
  }
  member.state = { host };
  const stop = new AbortController();
  const feed = host.hooks.has("onEvent")
    ? feedEvents({ exchange, host, log, onCall: options.onEvent }, stop)
    : Promise.resolve();
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await host[Symbol.asyncDispose]();
      await feed;
    },
  };
}
