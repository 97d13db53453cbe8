// SPDX-License-Identifier: Apache-2.0
import { type Plugin, plugin } from "../plugin/plugin.ts";
import { startOrWait } from "../streaming/lazy-streaming-server.ts";
import type { LimitedStreamingServer } from "../streaming/ports.ts";
import { createStreamingServer } from "../streaming/streaming-server.ts";
import type { CriPlugins } from "./cri.ts";
import { type Environment, pluginTypes } from "./environment.ts";

export interface Streaming extends AsyncDisposable {
  readonly server: LimitedStreamingServer;
}

/**
 * The streaming server behind Exec, Attach and PortForward. Without it (its address is taken, its
 * certificate bad) these three are UNAVAILABLE and pods run as ever.
 */
export function streamingPlugin(
  { config, live, log }: Environment,
  { runtime }: CriPlugins,
): Plugin<Streaming> {
  return plugin({
    type: pluginTypes.cri,
    id: "streaming",
    requires: { runtime },
    exports: { address: config.streaming.address },
    init: async ({ runtime }) => {
      const { sessions } = runtime;
      const start = async (): Promise<LimitedStreamingServer> => {
        const started = await createStreamingServer({
          config: live.current.streaming,
          host: sessions,
          log,
        });
        log.info({ address: started.address }, "streaming server listens");
        return started;
      };
      const server = await startOrWait(config.streaming, start);
      runtime.streamThrough(server);
      return {
        server,
        [Symbol.asyncDispose]: async () => {
          runtime.streamThrough(undefined);
          await sessions.cutOff(); // each client hears why, before its connection goes
          await server[Symbol.asyncDispose]();
        },
      };
    },
  });
}
