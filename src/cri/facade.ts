// SPDX-License-Identifier: Apache-2.0
import { nowNanos } from "../base/now.ts";
import { SingleFlight } from "../base/single-flight.ts";
import type { ContainerConfig, RunPodSandboxRequest } from "../gen/cri.gen.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import { LiveContainers } from "./container/live-containers.ts";
import { Attempts } from "./lifecycle/attempts.ts";
import { OperationRegistry } from "./lifecycle/operations.ts";
import { CriPaths } from "./paths.ts";
import { type ContainerEvent, criNamespace, type RuntimeServicePorts } from "./ports.ts";
import { type ContainerRecord, containerRecordCodec } from "./store/container-record.ts";
import { RecordStore } from "./store/record-store.ts";
import { type SandboxRecord, sandboxRecordCodec } from "./store/sandbox-record.ts";
import { StreamingDoor } from "./streaming/streaming-door.ts";

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
  readonly streaming: StreamingDoor;
  /** Start, stop and remove, by verb and id: a second request joins the first. */
  readonly acts: SingleFlight<void>;
  /** Fires when the daemon stops; attempts and exit monitors run under it, not under a request. */
  readonly lifetime: AbortSignal;
  publish(event: Omit<ContainerEvent, "atNanos">): void;
}

/** Opens the tables and lays the façade; nothing is visible before recovery. */
export function createFacade(ports: RuntimeServicePorts, lifetime: AbortSignal): Facade {
  const { metadata, hooks = {} } = ports;
  return {
    ports,
    lifetime,
    paths: new CriPaths(ports.config),
    sandboxes: new RecordStore(metadata.table("cri-sandboxes", sandboxRecordCodec), {
      namespace: criNamespace,
      noun: "sandbox",
    }),
    containers: new RecordStore(metadata.table("cri-containers", containerRecordCodec), {
      namespace: criNamespace,
      noun: "container",
    }),
    live: new LiveContainers(),
    operations: new OperationRegistry(ports.log, hooks),
    sandboxAttempts: new Attempts(lifetime),
    containerAttempts: new Attempts(lifetime),
    streaming: new StreamingDoor(),
    acts: new SingleFlight({ lifetime }),
    publish: (event) => hooks.onEvent?.({ ...event, atNanos: nowNanos() }),
  };
}

/** The containers of a sandbox, as records. */
export function containersOf(facade: Facade, sandboxId: string): ContainerRecord[] {
  return [...facade.containers.list()].filter((record) => record.sandboxId === sandboxId);
}
