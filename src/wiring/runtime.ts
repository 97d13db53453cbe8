// SPDX-License-Identifier: Apache-2.0
import { shimLaunchOf } from "../cri/handlers/shim-launch.ts";
import { clearScratchMounts } from "../diff/scratch-mounts.ts";
import { Exchange } from "../events/exchange.ts";
import type { EventExchange } from "../events/ports.ts";
import { pauseBinaryPath } from "../pause/pause-binary.ts";
import { type Plugin, plugin } from "../plugin/plugin.ts";
import { listenEvents } from "../runtime/events/event-forwarder.ts";
import type { EventSink, PlatformRuntime } from "../runtime/ports.ts";
import { Runtimes } from "../runtime/runtimes.ts";
import { SandboxRuntime } from "../runtime/sandbox/sandbox-runtime.ts";
import { ShimBinaries } from "../runtime/shim/binary.ts";
import type { ShimLaunch } from "../runtime/shim/choose-launch.ts";
import { ScopeUnits } from "../runtime/systemd/scope-units.ts";
import { TaskManager } from "../runtime/task-manager.ts";
import type { Telling } from "./cluster.ts";
import { type Environment, pluginTypes } from "./environment.ts";
import type { StoragePlugins } from "./storage.ts";

export interface RuntimePlugins {
  readonly plugins: readonly Plugin<unknown>[];
  readonly exchange: Plugin<EventExchange>;
  readonly runtime: Plugin<PlatformRuntime>;
}

/** Shims, their tasks, and the events that both tell of. */
export function runtimePlugins(
  { config, layout, live, log, metrics }: Environment,
  { trees }: StoragePlugins,
  telling: Telling,
): RuntimePlugins {
  const ttrpcAddress = `${config.grpc.address}.ttrpc`;
  const exchange = plugin({
    type: pluginTypes.event,
    id: "exchange",
    requires: {},
    init: () => new Exchange({ onDrop: () => metrics.recordEventsDropped(1) }),
  });
  const shimEvents = plugin({
    type: pluginTypes.ttrpc,
    id: "events",
    requires: { exchange },
    exports: { address: ttrpcAddress },
    init: ({ exchange }) => listenEvents({ path: ttrpcAddress, sink: sinkTo(exchange), log }),
  });
  const runtime = plugin({
    type: pluginTypes.runtime,
    id: "task",
    requires: { trees, exchange, shimEvents },
    init: async ({ trees, exchange, shimEvents }, context) => {
      const scratchFolder = layout.mappedMounts;
      context.waitsFor("mounts that a crash has left");
      await clearScratchMounts(scratchFolder, trees.remover);
      const { bundles, work } = layout;
      const sink = sinkTo(exchange);
      const binaries = new ShimBinaries();
      const shimLaunch = (name: string, shim: string): ShimLaunch =>
        shimLaunchOf(live.current.runtime, name, shim);
      const manager = new TaskManager({
        bundles,
        work,
        binaries,
        madeCgroups: layout.madeCgroups,
        grpcAddress: config.grpc.address,
        ttrpcAddress,
        log,
        sink,
        shimEvents,
        timeouts: {
          shimLoadMs: config.timeouts.shimLoadMs,
          get shimCleanupMs() {
            return live.current.timeouts.shimCleanupMs;
          },
          get shimShutdownMs() {
            return live.current.timeouts.shimShutdownMs;
          },
        },
        mappedMounts: { program: pauseBinaryPath(), scratchFolder },
        shimLaunch,
        onShimDeath: (pid, [id]) => {
          const message = () =>
            `the shim of the pod has died (pid ${pid}), and its containers with it`;
          if (id !== undefined) telling.notice({ kind: "ShimDied", id, message });
        },
      });
      const scopes = new ScopeUnits();
      const sandboxes = new SandboxRuntime({
        bundles,
        work,
        program: pauseBinaryPath(),
        binaries,
        shimLaunch,
        parents: manager.parents,
        pods: manager.pods,
        scopes,
        sink,
        log,
      });
      const runtime = new Runtimes(manager, sandboxes);
      // Tasks are back before anybody can ask for them: a task that is missing for a moment would
      // be taken for one that is gone.
      context.waitsFor("shims");
      const report = await runtime.recover(context);
      if (report.recovered.length + report.lost.length > 0) {
        log.info({ recovered: report.recovered.length, lost: report.lost }, "tasks recovered");
      }
      return runtime;
    },
  });
  return { plugins: [exchange, shimEvents, runtime], exchange, runtime };
}

function sinkTo(exchange: EventExchange): EventSink {
  return (envelope) => exchange.forward(envelope);
}
