// SPDX-License-Identifier: Apache-2.0
// The services over a fake runtime and a memory store, as builders for tests.
import { rm } from "node:fs/promises";
import { silentLogger } from "../../src/base/logger.ts";
import { Exchange } from "../../src/events/exchange.ts";
import type { EventExchange } from "../../src/events/ports.ts";
import type { ContainersContainerInit } from "../../src/gen/containers.gen.ts";
import { openMemoryMetadata } from "../../src/metadata/mirrored-store.ts";
import type { MetadataStore } from "../../src/metadata/ports.ts";
import { containersTable } from "../../src/metadata/records.ts";
import type { ServiceImpl } from "../../src/rpc/service.ts";
import type { CreateOptions } from "../../src/runtime/ports.ts";
import { createContainersService } from "../../src/services/containers-service.ts";
import { createEventsService } from "../../src/services/events-service.ts";
import { createNamespacesService, tableUser } from "../../src/services/namespaces-service.ts";
import { createTasksService, type TasksServiceOptions } from "../../src/tasks/tasks-service.ts";
import { FakeRuntime } from "./fake-runtime.ts";

export interface FakeServices {
  readonly runtime: FakeRuntime;
  readonly metadata: MetadataStore;
  readonly exchange: EventExchange;
  readonly tasks: ServiceImpl<"containerd.services.tasks.v1.Tasks">;
  readonly containers: ServiceImpl<"containerd.services.containers.v1.Containers">;
  readonly namespaces: ServiceImpl<"containerd.services.namespaces.v1.Namespaces">;
  readonly events: ServiceImpl<"containerd.services.events.v1.Events">;
}

export function fakeServices(
  options: Partial<TasksServiceOptions> & { readonly runtime?: FakeRuntime } = {},
): FakeServices {
  const metadata = options.metadata ?? openMemoryMetadata(silentLogger);
  const exchange = new Exchange();
  const runtime =
    options.runtime ?? new FakeRuntime({ events: (envelope) => exchange.forward(envelope) });
  return {
    runtime,
    metadata,
    exchange,
    tasks: createTasksService({
      checkpointDir: "/nonexistent",
      remover: { remove: (file) => rm(file, { recursive: true, force: true }) },
      ...options,
      runtime,
      metadata,
    }),
    containers: createContainersService({
      metadata,
      events: exchange,
      hasTask: (namespace, id) => runtime.get(namespace, id) !== undefined,
    }),
    namespaces: createNamespacesService({
      metadata,
      events: exchange,
      users: [tableUser("containers", containersTable(metadata))],
    }),
    events: createEventsService(exchange),
  };
}

export function containerInit(
  id: string,
  change: ContainersContainerInit = {},
  args: readonly string[] = ["sleep", "1000"],
): ContainersContainerInit {
  return {
    id,
    image: "docker.io/library/busybox:latest",
    runtime: { name: "io.containerd.runc.v2" },
    spec: {
      type_url: "types.containerd.io/opencontainers/runtime-spec/1/Spec",
      value: Buffer.from(JSON.stringify({ ociVersion: "1.0.2", process: { cwd: "/", args } })),
    },
    ...change,
  };
}

export function createOptions(args: readonly string[]): CreateOptions {
  return {
    spec: Buffer.from(JSON.stringify({ ociVersion: "1.0.2", process: { cwd: "/", args } })),
    rootfs: [],
    io: { stdin: "", stdout: "", stderr: "", terminal: false },
    runtime: "io.containerd.runc.v2",
    runtimePath: "",
    runtimeOptions: null,
    sandboxId: "",
    checkpointPath: "",
  };
}
