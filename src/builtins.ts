// SPDX-License-Identifier: Apache-2.0
import { ImageChanges } from "./images/image-changes.ts";
import { type Plugin, type PluginFacts, pluginUri } from "./plugin/plugin.ts";
import { type CriPlugins, criPlugins } from "./wiring/cri.ts";
import type { Environment, GrpcService } from "./wiring/environment.ts";
import { grpcService } from "./wiring/grpc-services.ts";
import { type MonitorPlugin, monitorPlugin } from "./wiring/monitor.ts";
import { operatorPlugins } from "./wiring/operator-plugins.ts";
import { type RuntimePlugins, runtimePlugins } from "./wiring/runtime.ts";
import { servicePlugins } from "./wiring/services.ts";
import { storagePlugins } from "./wiring/storage.ts";
import { storageFaces, storageServicePlugins } from "./wiring/storage-services.ts";
import { type StreamingPlugin, streamingPlugin } from "./wiring/streaming.ts";

/** Everything that is built in, and what the daemon itself must reach. */
export interface Builtins {
  readonly plugins: readonly Plugin<unknown>[];
  /** Without these there is no point in going on. */
  readonly vital: readonly string[];
  readonly grpc: readonly Plugin<GrpcService>[];
  readonly cri: CriPlugins;
  readonly runtime: RuntimePlugins;
  readonly monitor: MonitorPlugin;
  readonly streaming: StreamingPlugin;
}

/**
 * What a kubelet, and ctr for a task's life, cannot do without; with it go the stores, the runtime and
 * the network that these require. The daemon runs without the rest, without metrics for one when their
 * port is taken: a node shall not lose its pods over it. What failed is logged and shows in
 * `ctr plugins ls`.
 */
const vitalFaces: ReadonlySet<string> = new Set([
  "tasks",
  "containers",
  "namespaces",
  "events",
  "introspection",
  "version",
  "cri",
  "cri-images",
]);

/**
 * The list of built-in plugins. Nothing else knows it: start-up is the topological order of what
 * they require, and `ctr plugins ls` shows the same list.
 */
export function builtins(
  environment: Environment,
  listPlugins: () => readonly PluginFacts[],
): Builtins {
  const storage = storagePlugins(environment);
  const runtime = runtimePlugins(environment, storage);
  const imageChanges = new ImageChanges();
  const services = servicePlugins(environment, storage, runtime, listPlugins);
  const storageServices = storageServicePlugins(environment, storage, runtime, imageChanges);
  const operator = operatorPlugins(environment, runtime);
  const cri = criPlugins(environment, storage, services, operator.chain, imageChanges);
  const streaming = streamingPlugin(environment, cri);
  const monitor = monitorPlugin(environment, storage, runtime, cri);
  const grpc = [
    grpcService("tasks", "containerd.services.tasks.v1.Tasks", services.tasks, {
      endAtShutdown: ["Wait"],
    }),
    grpcService("containers", "containerd.services.containers.v1.Containers", services.containers),
    grpcService("namespaces", "containerd.services.namespaces.v1.Namespaces", services.namespaces),
    grpcService("events", "containerd.services.events.v1.Events", services.events),
    grpcService(
      "introspection",
      "containerd.services.introspection.v1.Introspection",
      services.introspection,
    ),
    grpcService("version", "containerd.services.version.v1.Version", services.versions),
    grpcService("healthcheck", "grpc.health.v1.Health", services.health),
    ...storageFaces(storageServices),
    grpcService("cri", "runtime.v1.RuntimeService", cri.runtime),
    grpcService("cri-images", "runtime.v1.ImageService", cri.imageService),
    grpcService("berth-images", "berth.v1.Images", cri.berthImages),
    grpcService("berth-operations", "berth.v1.Operations", cri.berthOperations),
  ];
  return {
    plugins: [
      ...Object.values(storage),
      ...Object.values(runtime),
      ...Object.values(services),
      ...Object.values(storageServices),
      ...Object.values(cri),
      streaming,
      monitor,
      ...operator.plugins,
      ...grpc,
    ],
    vital: grpc.filter(({ id }) => vitalFaces.has(id)).map(pluginUri),
    grpc,
    cri,
    runtime,
    monitor,
    streaming,
  };
}
