// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { within } from "../base/waits.ts";
import type { MissingPlugin, NodeState, PluginReport } from "../nri/ports.ts";
import type { AddServiceOptions } from "../rpc/grpc-server.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import type { StreamingServer } from "../streaming/ports.ts";
import { ChildOoms } from "./facts/child-oom.ts";
import { type HangingStage, hangingMs, hangingStages } from "./facts/hanging-stages.ts";
import { type Noticed, tellNoticed } from "./facts/tell-facts.ts";
import { Gate } from "./lifecycle/gate.ts";
import { LateRecords } from "./lifecycle/late-records.ts";
import type { OperationView } from "./lifecycle/operation.ts";
import { nodeState } from "./nri/node-state.ts";
import { type CriParts, createParts } from "./parts.ts";
import type { RuntimeServicePorts, StatsTarget } from "./ports.ts";
import { type RecoverySummary, recoverAll } from "./recovery/recover-all.ts";
import { recoverNetworks } from "./recovery/recover-networks.ts";
import { attach } from "./runtime-service/attach.ts";
import { checkpointContainer } from "./runtime-service/container-checkpoint.ts";
import { createContainer } from "./runtime-service/container-create.ts";
import { getContainerEvents } from "./runtime-service/container-events.ts";
import { listContainers, streamContainers } from "./runtime-service/container-list.ts";
import { removeContainer } from "./runtime-service/container-remove.ts";
import { startContainer } from "./runtime-service/container-start.ts";
import {
  containerStats,
  listContainerStats,
  streamContainerStats,
} from "./runtime-service/container-stats.ts";
import { containerStatus } from "./runtime-service/container-status.ts";
import { stopContainer } from "./runtime-service/container-stop.ts";
import { updateContainerResources } from "./runtime-service/container-update.ts";
import { exec } from "./runtime-service/exec.ts";
import { execSync } from "./runtime-service/exec-sync.ts";
import { reopenContainerLog } from "./runtime-service/log-reopen.ts";
import { portForward } from "./runtime-service/port-forward.ts";
import { runtimeConfig, updateRuntimeConfig } from "./runtime-service/runtime-config.ts";
import { checkpointPod } from "./runtime-service/sandbox-checkpoint.ts";
import { listPodSandbox, streamPodSandboxes } from "./runtime-service/sandbox-list.ts";
import {
  listMetricDescriptors,
  listPodSandboxMetrics,
  streamPodSandboxMetrics,
} from "./runtime-service/sandbox-metrics.ts";
import { removePodSandbox } from "./runtime-service/sandbox-remove.ts";
import { restorePod } from "./runtime-service/sandbox-restore.ts";
import { runPodSandbox } from "./runtime-service/sandbox-run.ts";
import {
  listPodSandboxStats,
  podSandboxStats,
  streamPodSandboxStats,
} from "./runtime-service/sandbox-stats.ts";
import { podSandboxStatus } from "./runtime-service/sandbox-status.ts";
import { stopPodSandbox } from "./runtime-service/sandbox-stop.ts";
import { updatePodSandboxResources } from "./runtime-service/sandbox-update.ts";
import { status } from "./runtime-service/status.ts";
import { version } from "./runtime-service/version.ts";
import { runningTargets } from "./stats/stats-targets.ts";
import { createSessions, type Sessions } from "./streaming/session-host.ts";

/** How long `close` waits for operations that run. */
const closeMs = 10_000;

/** Which RPCs begin something that takes memory, and which say how the daemon is. */
export const callKinds: AddServiceOptions<"runtime.v1.RuntimeService"> = {
  costly: [
    "RunPodSandbox",
    "CreateContainer",
    "StartContainer",
    "CheckpointContainer",
    "CheckpointPod",
    "RestorePod",
    "ExecSync",
    "Exec",
    "Attach",
    "PortForward",
  ],
  always: ["Version", "Status"],
};

export interface RuntimeService {
  readonly service: ServiceImpl<"runtime.v1.RuntimeService">;
  /** Must run once, after the runtime has recovered its tasks; until it has ended calls are refused. */
  recover(call: Cancellable): Promise<RecoverySummary>;
  /** What stands behind the streaming server. */
  readonly sessions: Sessions;
  /** Lets Exec, Attach and PortForward answer; until then, and with undefined again, they are UNAVAILABLE. */
  streamThrough(server: StreamingServer | undefined): void;
  /** What the node's plugins know of it and may ask of it. */
  readonly nodeState: NodeState;
  /** The plugins of NRI, and those that went; undefined where NRI is off. From memory. */
  nriPlugins(): readonly PluginReport[] | undefined;
  /** Plugins of NRI that are required and not connected. From memory. */
  missingNriPlugins(): readonly MissingPlugin[];
  /** Running sandboxes and containers, for metrics. From memory. */
  tasks(): readonly StatsTarget[];
  /** The sandbox of a container. From memory. */
  sandboxOf(containerId: string): string | undefined;
  /** How many sandboxes there are, by state. From memory. */
  sandboxes(): { readonly ready: number; readonly notReady: number };
  /** What runs now, and at which stage. */
  operations(): readonly OperationView[];
  /** How many of them are at each stage. */
  stages(): ReadonlyMap<string, number>;
  /** Stages that have run for a minute beyond what they are allowed, or far longer where they may be large. From memory. */
  hanging(): readonly HangingStage[];
  /** Takes in what other parts of the daemon notice of a container or a sandbox. */
  notice(noticed: Noticed): void;
  /** A shim has told that a process in this container was killed for want of memory. */
  oomKilled(containerId: string): void;
  /** Ends attempts and exit monitors; pods go on. Idempotent. */
  close(): Promise<void>;
}

/** The CRI RuntimeService over its ports. */
export function createRuntimeService(ports: RuntimeServicePorts): RuntimeService {
  const lifetime = new AbortController();
  const parts = createParts(ports, lifetime.signal);
  const ooms = new ChildOoms(parts);
  const gate = new Gate();
  const late = new LateRecords();
  let networks: Promise<void> | undefined;
  let rest: Promise<void> | undefined;
  const monitors = (): Promise<void>[] => [
    ...parts.liveContainers.monitors(),
    ...parts.liveSandboxes.monitors(),
  ];
  return {
    service: gate.guard(late.guard(verbs(parts))),
    recover: async (call) => {
      const summary = await recoverAll(parts, late, call);
      rest = summary.rest;
      await ports.beforeOpening?.(call);
      parts.nri.open();
      gate.open();
      networks = recoverNetworks(parts);
      return summary;
    },
    sessions: createSessions(parts, parts.paths.fifos),
    streamThrough: (server) => parts.streaming.use(server),
    nodeState: nodeState(parts),
    tasks: () => runningTargets(parts),
    nriPlugins: () => ports.nodePlugins?.plugins.list(),
    missingNriPlugins: () => parts.nri.missing(),
    sandboxOf: (containerId) => parts.containers.get(containerId)?.sandboxId,
    sandboxes: () => {
      const all = [...parts.sandboxes.list()];
      const ready = all.filter(({ state }) => state.kind === "ready").length;
      return { ready, notReady: all.length - ready };
    },
    operations: () => parts.operations.list(),
    stages: () => parts.operations.stages(),
    hanging: () => hangingStages(parts.operations.overdue(hangingMs)),
    notice: (noticed) => tellNoticed(parts, noticed),
    oomKilled: (containerId) => ooms.killed(containerId),
    close: async () => {
      lifetime.abort();
      ooms[Symbol.dispose]();
      parts.events.close();
      await within(parts.operations.idle(), closeMs);
      await within(Promise.all([...monitors(), networks, rest]), closeMs);
    },
  };
}

/** Of each RPC there is one: the types hold it. */
function verbs(parts: CriParts): Required<ServiceImpl<"runtime.v1.RuntimeService">> {
  return {
    Version: version(parts),
    Status: status(parts),
    RuntimeConfig: runtimeConfig(parts),
    UpdateRuntimeConfig: updateRuntimeConfig(parts),
    RunPodSandbox: runPodSandbox(parts),
    StopPodSandbox: stopPodSandbox(parts),
    RemovePodSandbox: removePodSandbox(parts),
    PodSandboxStatus: podSandboxStatus(parts),
    ListPodSandbox: listPodSandbox(parts),
    StreamPodSandboxes: streamPodSandboxes(parts),
    UpdatePodSandboxResources: updatePodSandboxResources(parts),
    CheckpointPod: checkpointPod(parts),
    RestorePod: restorePod(parts),
    PodSandboxStats: podSandboxStats(parts),
    ListPodSandboxStats: listPodSandboxStats(parts),
    StreamPodSandboxStats: streamPodSandboxStats(parts),
    ListMetricDescriptors: listMetricDescriptors(parts),
    ListPodSandboxMetrics: listPodSandboxMetrics(parts),
    StreamPodSandboxMetrics: streamPodSandboxMetrics(parts),
    CreateContainer: createContainer(parts),
    StartContainer: startContainer(parts),
    StopContainer: stopContainer(parts),
    RemoveContainer: removeContainer(parts),
    ListContainers: listContainers(parts),
    StreamContainers: streamContainers(parts),
    ContainerStatus: containerStatus(parts),
    UpdateContainerResources: updateContainerResources(parts),
    CheckpointContainer: checkpointContainer(parts),
    ReopenContainerLog: reopenContainerLog(parts),
    ExecSync: execSync(parts),
    Exec: exec(parts),
    Attach: attach(parts),
    PortForward: portForward(parts),
    ContainerStats: containerStats(parts),
    ListContainerStats: listContainerStats(parts),
    StreamContainerStats: streamContainerStats(parts),
    GetContainerEvents: getContainerEvents(parts),
  };
}
