// SPDX-License-Identifier: Apache-2.0
import { LimitTurns } from "./container/limit-turns.ts";
import { ContainerEvents } from "./events/container-events.ts";
import { tellSlow } from "./facts/tell-facts.ts";
import { OperationRegistry } from "./lifecycle/operations.ts";
import { LiveContainer } from "./live/live-container.ts";
import { LiveSandbox } from "./live/live-sandbox.ts";
import { LiveSet } from "./live/live-set.ts";
import { noPlugins } from "./nri/no-plugins.ts";
import { failedUpdates } from "./nri/node-state.ts";
import { NriCalls, type NriCallsNeeds } from "./nri/nri-calls.ts";
import { nriReviewer } from "./nri/nri-reviewer.ts";
import { CriPaths } from "./paths.ts";
import { criNamespace, type RuntimeServicePorts } from "./ports.ts";
import type { SpecReviewer } from "./spec-review.ts";
import {
  type ContainerRecord,
  containerRecordCodec,
  containersOf,
} from "./store/container-record.ts";
import { RecordStore } from "./store/record-store.ts";
import { type SandboxRecord, sandboxRecordCodec } from "./store/sandbox-record.ts";
import { StreamingServerHolder } from "./streaming/streaming-server-holder.ts";

/**
 * All that verbs and recovery work with: what the RuntimeService stands on, the records, what runs now.
 * Only the composition knows it whole. All else says what it uses, at the top of its file where it is
 * more than a thing or two:
 *
 *     type Needs = Pick<CriParts, "containers" | "liveContainers" | "operations">;
 */
export interface CriParts extends RuntimeServicePorts {
  readonly paths: CriPaths;
  readonly sandboxes: RecordStore<SandboxRecord>;
  readonly containers: RecordStore<ContainerRecord>;
  /** Tasks, exit monitors and what else is held of those that run. */
  readonly liveSandboxes: LiveSet<LiveSandbox>;
  /** Likewise, with their logs. */
  readonly liveContainers: LiveSet<LiveContainer>;
  readonly operations: OperationRegistry;
  /** The server that exec, attach and port-forward end at. */
  readonly streaming: StreamingServerHolder;
  /** Fires when the daemon stops; joined operations and exit monitors run under it, not under a request. */
  readonly lifetime: AbortSignal;
  /** Where each step in a life is reported. */
  readonly events: ContainerEvents;
  /** Who has a say on what is created, in the order in which they are asked. */
  readonly reviewers: readonly SpecReviewer[];
  /** What the node's plugins are told and asked. */
  readonly nri: NriCalls;
  /** The order of what changes a container's limits. */
  readonly limitTurns: LimitTurns;
}

/** Opens the tables and makes the parts; nothing is visible before recovery. */
export function createParts(ports: RuntimeServicePorts, lifetime: AbortSignal): CriParts {
  const { metadata, hooks = {}, log } = ports;
  const sandboxes = new RecordStore(metadata.table("cri-sandboxes", sandboxRecordCodec), {
    namespace: criNamespace,
    noun: "sandbox",
  });
  const containers = new RecordStore(metadata.table("cri-containers", containerRecordCodec), {
    namespace: criNamespace,
    noun: "container",
    groupOf: ({ sandboxId }) => sandboxId,
  });
  const events = new ContainerEvents(
    {
      sandbox: (id) => sandboxes.get(id),
      containers: (sandboxId) => containersOf(containers, sandboxId),
    },
    hooks,
  );
  const known = {
    ...ports,
    // As it is at each reading: it reloads.
    get config() {
      return ports.config;
    },
    lifetime,
    paths: new CriPaths(ports.config),
    sandboxes,
    containers,
    events,
    liveSandboxes: new LiveSet((id) => new LiveSandbox(id)),
    liveContainers: new LiveSet((id) => new LiveContainer(id)),
    operations: new OperationRegistry({
      log,
      lifetime,
      hooks: {
        ...hooks,
        onSlow: (view) => tellSlow({ containers, facts: ports.facts, sandboxes }, view),
      },
    }),
    streaming: new StreamingServerHolder(),
    limitTurns: new LimitTurns(),
  };
  return Object.assign(known, pluginParts(ports, known));
}

function pluginParts(
  { review, nodePlugins }: RuntimeServicePorts,
  known: Omit<CriParts, "nri" | "reviewers">,
): Pick<CriParts, "nri" | "reviewers"> {
  const { containers, lifetime, liveContainers, liveSandboxes, log, sandboxes } = known;
  const applyUpdates: NriCallsNeeds["applyUpdates"] = async (updates, call) => {
    if (updates.length > 0) await failedUpdates(known, updates, call);
  };
  const plugins = nodePlugins?.plugins ?? noPlugins;
  const nri = new NriCalls({
    containers,
    lifetime,
    liveContainers,
    liveSandboxes,
    log,
    sandboxes,
    plugins,
    applyUpdates,
  });
  const reviewers = review ? [review] : [];
  if (!nodePlugins) return { nri, reviewers };
  const { adjust } = nodePlugins;
  return { nri, reviewers: [...reviewers, nriReviewer({ plugins, nri, adjust, applyUpdates })] };
}
