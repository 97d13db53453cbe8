// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../base/logger.ts";
import type { MemoryBudget } from "../base/memory/memory-budget.ts";
import type { StartConfig } from "../config/config.ts";
import type { Layout } from "../config/layout.ts";
import type { LiveConfig } from "../config/live-config.ts";
import type { ReloadHistory } from "../config/reload-history.ts";
import type { EarlyWriter } from "../metadata/sqlite/early-writer.ts";
import type { Metrics } from "../metrics/registry.ts";
import type { GrpcServer } from "../rpc/grpc-server.ts";
import type { SocketWatch } from "../rpc/socket-watch.ts";

/** What every built-in plugin is made from. */
export interface Environment {
  /** The keys that hold for the daemon's life. */
  readonly config: StartConfig;
  /** All keys as they are now: for what reads them anew for each piece of work. */
  readonly live: LiveConfig;
  /** Where the daemon keeps things. */
  readonly layout: Layout;
  readonly reloads: ReloadHistory;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly memory: MemoryBudget;
  readonly sockets: SocketWatch;
  /** For the database. */
  readonly writer: EarlyWriter;
  readonly version: string;
  readonly revision: string;
  /** Ends the daemon with this error: for what it cannot live without. Its pods run on. */
  readonly fail: (error: Error) => void;
}

/** The instance of a gRPC plugin: it puts its service on the daemon's server. */
export interface GrpcService {
  addTo(server: GrpcServer): void;
}

/** Plugin types as containerd names them, so that `ctr plugins ls` reads as its users expect. */
export const pluginTypes = {
  event: "io.containerd.event.v1",
  metadata: "io.containerd.metadata.v1",
  content: "io.containerd.content.v1",
  snapshotter: "io.containerd.snapshotter.v1",
  runtime: "io.containerd.runtime.v2",
  monitor: "io.containerd.monitor.task.v1",
  service: "io.containerd.service.v1",
  lease: "io.containerd.lease.v1",
  gc: "io.containerd.gc.v1",
  differ: "io.containerd.differ.v1",
  cri: "io.containerd.cri.v1",
  ttrpc: "io.containerd.ttrpc.v1",
  grpc: "io.containerd.grpc.v1",
  trees: "io.berth.trees.v1",
  operator: "io.berth.plugin.v1",
  cluster: "io.berth.cluster.v1",
} as const;
