// SPDX-License-Identifier: Apache-2.0
import { SingleFlight } from "../base/single-flight.ts";
import type { ContainerConfig, RunPodSandboxRequest } from "../gen/cri.gen.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import { LiveContainers } from "./container/live-containers.ts";
import { ContainerEvents, type LifeEvent } from "./events/container-events.ts";
import { Attempts } from "./lifecycle/attempts.ts";
import { OperationRegistry } from "./lifecycle/operations.ts";
import { CriPaths } from "./paths.ts";
import { criNamespace, type RuntimeServicePorts } from "./ports.ts";
import { type ContainerRecord, containerRecordCodec } from "./store/container-record.ts";
import { RecordStore } from "./store/record-store.ts";
import { type SandboxRecord, sandboxRecordCodec } from "./store/sandbox-record.ts";
import { StreamingServerHolder } from "./streaming/streaming-server-holder.ts";

/** A handler of one RuntimeService method. */
export type Verb<M extends keyof ServiceImpl<"runtime.v1.RuntimeService">> = NonNullable<
  ServiceImpl<"runtime.v1.RuntimeService">[M]
>;

/** What two CreateContainer requests of one name must agree in. */
export interface CreateRequest {
  readonly sandboxId: string;
  readonly config: ContainerConfig;
}

/** What every verb works on: the ports, the records, what runs now. */
export interface Facade {
  readonly ports: RuntimeServicePorts;
  readonly paths: CriPaths;
  readonly sandboxes: RecordStore<SandboxRecord>;
  readonly containers: RecordStore<ContainerRecord>;
  /** Handles of tasks, logs and exit monitors, by container or sandbox id. */
  readonly live: LiveContainers;
  readonly operations: OperationRegistry;
  readonly sandboxAttempts: Attempts<RunPodSandboxRequest>;
  readonly containerAttempts: Attempts<CreateRequest>;
  /** The server that exec, attach and port-forward end at. */
  readonly streaming: StreamingServerHolder;
  /** Start, stop and remove, by verb and id: a second request joins the first. */
  readonly acts: SingleFlight<void>;
  /** Fires when the daemon stops; attempts and exit monitors run under it, not under a request. */
  readonly lifetime: AbortSignal;
  readonly events: ContainerEvents;
  /** Tells of a step in a life; `last` is the sandbox's record when it is gone already. */
  publish(event: LifeEvent, last?: SandboxRecord): void;
}

/** Opens the tables and lays the façade; nothing is visible before recovery. */
export function createFacade(ports: RuntimeServicePorts, lifetime: AbortSignal): Facade {
  const { metadata, hooks = {} } = ports;
  const sandboxes = new RecordStore(metadata.table("cri-sandboxes", sandboxRecordCodec), {
    namespace: criNamespace,
    noun: "sandbox",
  });
  const containers = new RecordStore(metadata.table("cri-containers", containerRecordCodec), {
    namespace: criNamespace,
    noun: "container",
  });
  const events = new ContainerEvents(
    {
      sandbox: (id) => sandboxes.get(id),
      containers: (sandboxId) => ofSandbox(containers, sandboxId),
    },
    () => hooks.onEventDropped?.(),
  );
  return {
    ports,
    lifetime,
    paths: new CriPaths(ports.config),
    sandboxes,
    containers,
    events,
    live: new LiveContainers(),
    operations: new OperationRegistry(ports.log, hooks),
    sandboxAttempts: new Attempts(lifetime),
    containerAttempts: new Attempts(lifetime),
    streaming: new StreamingServerHolder(),
    acts: new SingleFlight({ lifetime }),
    publish: (event, last) => {
      const published = events.publish(event, last);
      hooks.onEvent?.(published);
    },
  };
}

/** The containers of a sandbox, as records. */
export function containersOf(facade: Facade, sandboxId: string): ContainerRecord[] {
  return ofSandbox(facade.containers, sandboxId);
}

function ofSandbox(containers: RecordStore<ContainerRecord>, sandboxId: string): ContainerRecord[] {
  return [...containers.list()].filter((record) => record.sandboxId === sandboxId);
}
