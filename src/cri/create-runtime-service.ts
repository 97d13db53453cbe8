// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Cancellable } from "../base/cancellable.ts";
import { within } from "../base/waits.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import type { StreamingServer } from "../streaming/ports.ts";
import { createFacade, type Facade } from "./facade.ts";
import { Gate } from "./lifecycle/gate.ts";
import type { OperationView } from "./lifecycle/operation.ts";
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
import { listPodSandbox, streamPodSandboxes } from "./runtime-service/sandbox-list.ts";
import {
  listMetricDescriptors,
  listPodSandboxMetrics,
  streamPodSandboxMetrics,
} from "./runtime-service/sandbox-metrics.ts";
import { removePodSandbox } from "./runtime-service/sandbox-remove.ts";
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

export interface RuntimeService {
  readonly service: ServiceImpl<"runtime.v1.RuntimeService">;
  /** Must run once, after the runtime has recovered its tasks; until it has ended calls are refused. */
  recover(call: Cancellable): Promise<RecoverySummary>;
  /** What stands behind the streaming server. */
  readonly sessions: Sessions;
  /** Lets Exec, Attach and PortForward answer; until then, and with undefined again, they are UNAVAILABLE. */
  streamThrough(server: StreamingServer | undefined): void;
  /** Running sandboxes and containers, for metrics. From memory. */
  tasks(): readonly StatsTarget[];
  /** The sandbox of a container. From memory. */
  sandboxOf(containerId: string): string | undefined;
  /** How many sandboxes there are, by state. From memory. */
  sandboxes(): { readonly ready: number; readonly notReady: number };
  /** What runs now, and at which stage. */
  operations(): readonly OperationView[];
  /** Ends attempts and exit monitors; pods go on. Idempotent. */
  close(): Promise<void>;
}

/** The CRI RuntimeService over its ports. */
export function createRuntimeService(ports: RuntimeServicePorts): RuntimeService {
  const lifetime = new AbortController();
  const facade = createFacade(ports, lifetime.signal);
  const gate = new Gate();
  let networks: Promise<void> | undefined;
  const monitors = (): Promise<void>[] => [
    ...facade.liveContainers.monitors(),
    ...facade.liveSandboxes.monitors(),
  ];
  return {
    service: gate.guard(verbs(facade)),
    recover: async (call) => {
      const summary = await recoverAll(facade, call);
      gate.open();
      networks = recoverNetworks(facade);
      return summary;
    },
    sessions: createSessions(facade, path.join(ports.config.state, "fifo")),
    streamThrough: (server) => facade.streaming.use(server),
    tasks: () => runningTargets(facade),
    sandboxOf: (containerId) => facade.containers.get(containerId)?.sandboxId,
    sandboxes: () => {
      const all = [...facade.sandboxes.list()];
      const ready = all.filter(({ state }) => state.kind === "ready").length;
      return { ready, notReady: all.length - ready };
    },
    operations: () => facade.operations.list(),
    close: async () => {
      lifetime.abort();
      facade.events.close();
      await within(facade.operations.idle(), closeMs);
      await within(Promise.all([...monitors(), networks]), closeMs);
    },
  };
}

function verbs(facade: Facade): ServiceImpl<"runtime.v1.RuntimeService"> {
  return {
    Version: version(facade),
    Status: status(facade),
    RuntimeConfig: runtimeConfig(facade),
    UpdateRuntimeConfig: updateRuntimeConfig(facade),
    RunPodSandbox: runPodSandbox(facade),
    StopPodSandbox: stopPodSandbox(facade),
    RemovePodSandbox: removePodSandbox(facade),
    PodSandboxStatus: podSandboxStatus(facade),
    ListPodSandbox: listPodSandbox(facade),
    StreamPodSandboxes: streamPodSandboxes(facade),
    UpdatePodSandboxResources: updatePodSandboxResources(facade),
    PodSandboxStats: podSandboxStats(facade),
    ListPodSandboxStats: listPodSandboxStats(facade),
    StreamPodSandboxStats: streamPodSandboxStats(facade),
    ListMetricDescriptors: listMetricDescriptors(facade),
    ListPodSandboxMetrics: listPodSandboxMetrics(facade),
    StreamPodSandboxMetrics: streamPodSandboxMetrics(facade),
    CreateContainer: createContainer(facade),
    StartContainer: startContainer(facade),
    StopContainer: stopContainer(facade),
    RemoveContainer: removeContainer(facade),
    ListContainers: listContainers(facade),
    StreamContainers: streamContainers(facade),
    ContainerStatus: containerStatus(facade),
    UpdateContainerResources: updateContainerResources(facade),
    CheckpointContainer: checkpointContainer(facade),
    ReopenContainerLog: reopenContainerLog(facade),
    ExecSync: execSync(facade),
    Exec: exec(facade),
    Attach: attach(facade),
    PortForward: portForward(facade),
    ContainerStats: containerStats(facade),
    ListContainerStats: listContainerStats(facade),
    StreamContainerStats: streamContainerStats(facade),
    GetContainerEvents: getContainerEvents(facade),
  };
}
