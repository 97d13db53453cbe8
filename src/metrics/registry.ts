// SPDX-License-Identifier: Apache-2.0
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { registerClusterMetrics } from "./cluster-metrics.ts";
import { computedGauge } from "./computed-gauge.ts";
import { registerConfigMetrics } from "./config-metrics.ts";
import { registerMemoryMetrics } from "./memory-metrics.ts";
import { type NriCallMetrics, registerNriMetrics, registerNriPlugins } from "./nri-metrics.ts";
import type { DaemonSources } from "./ports.ts";
import { registerProcessMetrics } from "./process-metrics.ts";
import { registerTransferMetrics } from "./transfer-metrics.ts";

const rpcBuckets = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120,
];
const stageBuckets = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

export interface MetricsOptions {
  readonly version: string;
  readonly revision: string;
}

export interface RpcRecord {
  /** Full name of the service, `runtime.v1.RuntimeService`. */
  readonly service: string;
  readonly method: string;
  /** Name of the gRPC code, `OK`. */
  readonly code: string;
  readonly seconds: number;
}

/** The daemon's own metrics: what happens is recorded by these calls, none of which can throw or wait. */
export interface Metrics {
  readonly registry: Registry;
  recordRpc(record: RpcRecord): void;
  /** One finished stage of a pod's start: "netns", "network", "shim", "create", "start", … */
  recordPodStartStage(stage: string, seconds: number): void;
  /** One ended ExecSync, Exec or attach. */
  recordExec(kind: "exec_sync" | "exec" | "attach"): void;
  recordImagePull(result: "success" | "failure", seconds: number): void;
  recordOomKill(): void;
  /** One call of an operator plugin's hook: "ok", "changed", "veto", "error" or "timeout". */
  recordPluginCall(plugin: string, hook: string, result: string): void;
  recordEventsDropped(count: number): void;
  readonly nri: NriCallMetrics;
  /** Sets where values come from that are read at each scrape. Call once. */
  observe(sources: DaemonSources): void;
}

/** Makes the registry with the daemon's own metrics, prefix `berth_`. */
export function createMetrics({ version, revision }: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name: `berth_${name}`, help, labelNames, registers });
  const histogram = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    buckets: number[],
  ) => new Histogram({ name: `berth_${name}`, help, labelNames, buckets, registers });

  const buildInfo = new Gauge({
    name: "berth_build_info",
    help: "Constant 1, with version and revision of the daemon.",
    labelNames: ["version", "revision"],
    registers,
  });
  buildInfo.set({ version, revision }, 1);
  const rpcs = histogram(
    "rpc_duration_seconds",
    "Time to answer a call, by service, method and gRPC code.",
    ["service", "method", "code"],
    rpcBuckets,
  );
  const stages = histogram(
    "pod_start_stage_seconds",
    "Time of each stage of starting a pod.",
    ["stage"],
    stageBuckets,
  );
  const pulls = histogram(
    "image_pull_seconds",
    "Time of image pulls that ended, by result.",
    ["result"],
    [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600],
  );
  const execs = counter("execs_total", "Execs and attaches served, by kind.", ["kind"]);
  const ooms = counter("oom_kills_total", "Containers that ended by an out-of-memory kill.");
  const dropped = counter(
    "events_dropped_total",
    "Events dropped for readers that did not keep up.",
  );
  const pluginCalls = counter(
    "plugin_calls_total",
    "Calls of operator plugins' hooks, by result: ok, changed, veto, error, timeout.",
    ["plugin", "hook", "result"],
  );
  registerProcessMetrics(registry);

  return {
    registry,
    recordRpc: ({ service, method, code, seconds }) =>
      rpcs.observe({ service, method, code }, Math.max(0, seconds)),
    recordPodStartStage: (stage, seconds) => stages.observe({ stage }, Math.max(0, seconds)),
    recordExec: (kind) => execs.inc({ kind }),
    recordImagePull: (result, seconds) => pulls.observe({ result }, Math.max(0, seconds)),
    recordOomKill: () => ooms.inc(),
    recordPluginCall: (plugin, hook, result) => pluginCalls.inc({ plugin, hook, result }),
    nri: registerNriMetrics(registry),
    recordEventsDropped: (count) => dropped.inc(Math.max(0, count)),
    observe: (sources) => observeSources(registry, sources),
  };
}

function observeSources(registry: Registry, sources: DaemonSources): void {
  const { shims, operations, streamingSessions, sandboxes, logs } = sources;
  if (shims !== undefined) {
    computedGauge(
      registry,
      "berth_shims",
      "Shim processes that the daemon is connected to.",
      shims,
    );
  }
  if (sources.stuckRemovals !== undefined) {
    computedGauge(
      registry,
      "berth_stuck_removals",
      "Files and folders that are to go and could not be removed so far; `berth status` names them.",
      sources.stuckRemovals,
    );
  }
  if (sources.lostSockets !== undefined) {
    computedGauge(
      registry,
      "berth_lost_sockets",
      "Sockets of the daemon that another process has taken, or that are gone; `berth status` names them.",
      sources.lostSockets,
    );
  }
  if (sources.missingNriPlugins !== undefined) {
    computedGauge(
      registry,
      "berth_nri_missing_plugins",
      "Required NRI plugins that are not connected: no container is made without them; `berth status` names them.",
      sources.missingNriPlugins,
    );
  }
  if (operations !== undefined) {
    registry.registerMetric(
      gaugeByLabel(
        "berth_operations_in_flight",
        "Operations that are running now, by the stage they are in.",
        "stage",
        operations,
      ),
    );
  }
  if (streamingSessions !== undefined) {
    registry.registerMetric(
      gaugeByLabel(
        "berth_streaming_sessions",
        "Open sessions of exec, attach and port-forward clients.",
        "kind",
        streamingSessions,
      ),
    );
  }
  if (sandboxes !== undefined) {
    registry.registerMetric(
      new Gauge({
        name: "berth_sandboxes",
        help: "Pod sandboxes, by state.",
        labelNames: ["state"],
        registers: [],
        collect() {
          const { ready, notReady } = sandboxes();
          this.set({ state: "ready" }, ready);
          this.set({ state: "not_ready" }, notReady);
        },
      }),
    );
  }
  if (sources.nriPlugins !== undefined) registerNriPlugins(registry, sources.nriPlugins);
  if (sources.memory !== undefined) registerMemoryMetrics(registry, sources.memory);
  if (sources.configuration !== undefined) registerConfigMetrics(registry, sources.configuration);
  if (sources.cluster !== undefined) registerClusterMetrics(registry, sources.cluster);
  if (sources.transfers !== undefined) registerTransferMetrics(registry, sources.transfers);
  if (logs !== undefined) {
    total(
      registry,
      "berth_log_bytes_total",
      "Bytes of container output written to log files.",
      () => logs().bytes,
    );
    total(
      registry,
      "berth_log_lost_bytes_total",
      "Bytes of container output that could not be kept.",
      () => logs().lostBytes,
    );
  }
}

function gaugeByLabel(
  name: string,
  help: string,
  label: string,
  values: () => ReadonlyMap<string, number>,
): Gauge {
  return new Gauge({
    name,
    help,
    labelNames: [label],
    registers: [],
    collect() {
      this.reset();
      for (const [value, count] of values()) this.set({ [label]: value }, count);
    },
  });
}

/** A counter whose total another part keeps. */
function total(registry: Registry, name: string, help: string, value: () => number): void {
  registry.registerMetric(
    new Counter({
      name,
      help,
      registers: [],
      collect() {
        this.reset();
        this.inc(Math.max(0, value()));
      },
    }),
  );
}
