// SPDX-License-Identifier: Apache-2.0
import { ImageChanges } from "./images/image-changes.ts";
import type { KubeReporter } from "./kube/kube-reporter.ts";
import type { MetricsServer } from "./metrics/http.ts";
import { type Plugin, type PluginFacts, pluginUri } from "./plugin/plugin.ts";
import { clusterPlugin, Telling } from "./wiring/cluster.ts";
import { type CriPlugins, criPlugins } from "./wiring/cri.ts";
import type { Environment, GrpcService } from "./wiring/environment.ts";
import { monitorPlugin } from "./wiring/monitor.ts";
import { operatorPlugins } from "./wiring/operator-plugins.ts";
import { runtimePlugins } from "./wiring/runtime.ts";
import { servicePlugins } from "./wiring/services.ts";
import { storagePlugins } from "./wiring/storage.ts";
import { storageServicePlugins } from "./wiring/storage-services.ts";
import { type Streaming, streamingPlugin } from "./wiring/streaming.ts";

/** Everything that is built in, and what the daemon itself must reach. */
export interface Builtins {
  readonly plugins: readonly Plugin<unknown>[];
  /** Without these there is no point in going on. */
  readonly vital: readonly string[];
  readonly grpc: readonly Plugin<GrpcService>[];
  readonly cri: CriPlugins;
  readonly monitor: Plugin<MetricsServer>;
  readonly streaming: Plugin<Streaming>;
  readonly cluster: Plugin<KubeReporter>;
}

/**
 * What a kubelet, and ctr for a task's life, cannot do without; with it go the stores, the runtime and
 * the network that these require. The daemon runs without the rest, without metrics for one when their
 * port is taken: a node shall not lose its pods over it. What failed is logged and shows in
 * `ctr plugins ls`.
 */
const vitalServices: ReadonlySet<string> = new Set([
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
  const telling = new Telling();
  const runtime = runtimePlugins(environment, storage, telling);
  const imageChanges = new ImageChanges();
  const services = servicePlugins(environment, storage, runtime, listPlugins);
  const storageServices = storageServicePlugins(environment, storage, runtime, imageChanges);
  const operator = operatorPlugins(environment, runtime);
  const cri = criPlugins(environment, storage, services, {
    exchange: runtime.exchange,
    platform: runtime.runtime,
    review: operator.chain,
    imageChanges,
    telling,
  });
  const streaming = streamingPlugin(environment, cri);
  const monitor = monitorPlugin(environment, storage, { runtime, cri, telling });
  const cluster = clusterPlugin(environment, cri, telling);
  const serving = [services, storageServices, cri];
  const grpc = serving.flatMap((some) => some.grpc);
  return {
    plugins: [
      ...storage.plugins,
      ...runtime.plugins,
      ...serving.flatMap((some) => some.plugins),
      streaming,
      monitor,
      cluster,
      ...operator.plugins,
      ...grpc,
    ],
    vital: grpc.filter(({ id }) => vitalServices.has(id)).map(pluginUri),
    grpc,
    cri,
    monitor,
    streaming,
    cluster,
  };
}
