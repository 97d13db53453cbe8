// SPDX-License-Identifier: Apache-2.0
import { type Plugin, type PluginFacts, pluginUri } from "./plugin/plugin.ts";
import { type CriPlugins, criPlugins } from "./wiring/cri.ts";
import type { Environment, GrpcFace } from "./wiring/environment.ts";
import { grpcFace } from "./wiring/grpc-faces.ts";
import { type MonitorPlugin, monitorPlugin } from "./wiring/monitor.ts";
import { type RuntimePlugins, runtimePlugins } from "./wiring/runtime.ts";
import { servicePlugins } from "./wiring/services.ts";
import { storagePlugins } from "./wiring/storage.ts";

/** Everything that is built in, and what the daemon itself must reach. */
export interface Builtins {
  readonly plugins: readonly Plugin<unknown>[];
  /** Without these there is no point in going on. */
  readonly vital: readonly string[];
  readonly grpc: readonly Plugin<GrpcFace>[];
  readonly cri: CriPlugins;
  readonly runtime: RuntimePlugins;
  readonly monitor: MonitorPlugin;
}

/**
 * The list of built-in plugins. Nothing else knows it: start-up is the topological order of what
 * they require, and `ctr plugins ls` shows the same list.
 */
export function builtins(
  environment: Environment,
  listPlugins: () => readonly PluginFacts[],
): Builtins {
  const storage = storagePlugins(environment);
  const runtime = runtimePlugins(environment);
  const services = servicePlugins(environment, storage, runtime, listPlugins);
  const cri = criPlugins(environment, storage, services);
  const monitor = monitorPlugin(environment, runtime, cri);
  const grpc = [
    grpcFace("tasks", "containerd.services.tasks.v1.Tasks", services.tasks, {
      endAtShutdown: ["Wait"],
    }),
    grpcFace("containers", "containerd.services.containers.v1.Containers", services.containers),
    grpcFace("namespaces", "containerd.services.namespaces.v1.Namespaces", services.namespaces),
    grpcFace("events", "containerd.services.events.v1.Events", services.events),
    grpcFace(
      "introspection",
      "containerd.services.introspection.v1.Introspection",
      services.introspection,
    ),
    grpcFace("version", "containerd.services.version.v1.Version", services.versions),
    grpcFace("cri", "runtime.v1.RuntimeService", cri.runtime),
    grpcFace("cri-images", "runtime.v1.ImageService", cri.imageService),
    grpcFace("berth-images", "berth.v1.Images", cri.berthImages),
    grpcFace("berth-operations", "berth.v1.Operations", cri.berthOperations),
  ];
  return {
    plugins: [
      ...Object.values(storage),
      ...Object.values(runtime),
      ...Object.values(services),
      ...Object.values(cri),
      monitor,
      ...grpc,
    ],
    vital: [...grpc, monitor].map(pluginUri),
    grpc,
    cri,
    runtime,
    monitor,
  };
}
