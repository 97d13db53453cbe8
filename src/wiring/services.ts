// SPDX-License-Identifier: Apache-2.0
import { contentTable } from "../content/blob-record.ts";
import { imagesTable } from "../images/image-records.ts";
import { containersTable } from "../metadata/records.ts";
import { type Plugin, type PluginFacts, plugin } from "../plugin/plugin.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import { createRuntimeInfoReader } from "../runtime/shim/runtime-info.ts";
import { createContainersService } from "../services/containers-service.ts";
import { createEventsService } from "../services/events-service.ts";
import { createHealthService } from "../services/health-service.ts";
import { createIntrospectionService, loadServerId } from "../services/introspection-service.ts";
import { createNamespacesService, tableUser } from "../services/namespaces-service.ts";
import { createVersionService } from "../services/version-service.ts";
import { snapshotsTable } from "../snapshots/snapshot-record.ts";
import { Deprecations } from "../tasks/deprecations.ts";
import { createTasksService } from "../tasks/tasks-service.ts";
import { type Environment, pluginTypes } from "./environment.ts";
import { grpcService, type ServingPlugins } from "./grpc-services.ts";
import type { RuntimePlugins } from "./runtime.ts";
import type { StoragePlugins } from "./storage.ts";

export interface ServicePlugins extends ServingPlugins {
  readonly tasks: Plugin<ServiceImpl<"containerd.services.tasks.v1.Tasks">>;
  readonly containers: Plugin<ServiceImpl<"containerd.services.containers.v1.Containers">>;
}

/** containerd's services, as plain implementations without a transport. */
export function servicePlugins(
  { layout, live, version, revision }: Environment,
  { metadata, content, leases, trees }: StoragePlugins,
  { exchange, runtime }: RuntimePlugins,
  listPlugins: () => readonly PluginFacts[],
): ServicePlugins {
  const type = pluginTypes.service;
  const deprecations = new Deprecations();
  const tasks = plugin({
    type,
    id: "tasks-service",
    requires: { metadata, content, leases, trees, runtime },
    init: ({ metadata, content, leases, trees, runtime }) => {
      const { remover } = trees;
      const checkpointDir = layout.checkpoints;
      void remover.sweep(checkpointDir); // never rejects
      return createTasksService({
        runtime,
        metadata,
        content,
        leases,
        deprecations,
        checkpointDir,
        remover,
        stateTimeoutMs: () => live.current.timeouts.taskStateMs,
      });
    },
  });
  const containers = plugin({
    type,
    id: "containers-service",
    requires: { metadata, exchange, runtime },
    init: ({ metadata, exchange, runtime }) =>
      createContainersService({
        metadata,
        events: exchange,
        hasTask: (namespace, id) =>
          runtime.get(namespace, id) !== undefined || runtime.late(namespace, id) !== undefined,
      }),
  });
  const namespaces = plugin({
    type,
    id: "namespaces-service",
    requires: { metadata, exchange },
    init: ({ metadata, exchange }) =>
      createNamespacesService({
        metadata,
        events: exchange,
        users: [
          tableUser("containers", containersTable(metadata)),
          tableUser("images", imagesTable(metadata)),
          tableUser("blobs", contentTable(metadata)),
          ...["overlayfs", "native"].map((name) =>
            tableUser(`snapshots on ${name}`, snapshotsTable(metadata, name)),
          ),
        ],
      }),
  });
  const events = plugin({
    type,
    id: "events-service",
    requires: { exchange },
    init: ({ exchange }) => createEventsService(exchange),
  });
  const introspection = plugin({
    type,
    id: "introspection-service",
    requires: {},
    init: async () =>
      createIntrospectionService({
        plugins: listPlugins,
        uuid: await loadServerId(layout.serverId),
        deprecations: () => deprecations.list(),
        runtimeInfo: createRuntimeInfoReader(),
      }),
  });
  const versions = plugin({
    type,
    id: "version-service",
    requires: {},
    init: () => createVersionService({ version, revision }),
  });
  const health = plugin({
    type,
    id: "health-service",
    requires: {},
    init: () => createHealthService(),
  });
  return {
    plugins: [tasks, containers, namespaces, events, introspection, versions, health],
    grpc: [
      grpcService("tasks", "containerd.services.tasks.v1.Tasks", tasks, {
        endAtShutdown: ["Wait"],
        costly: ["Create", "Start", "Exec", "Checkpoint"],
      }),
      grpcService("containers", "containerd.services.containers.v1.Containers", containers),
      grpcService("namespaces", "containerd.services.namespaces.v1.Namespaces", namespaces),
      grpcService("events", "containerd.services.events.v1.Events", events),
      grpcService(
        "introspection",
        "containerd.services.introspection.v1.Introspection",
        introspection,
      ),
      grpcService("version", "containerd.services.version.v1.Version", versions, {
        always: ["Version"],
      }),
      grpcService("healthcheck", "grpc.health.v1.Health", health, { always: ["Check"] }),
    ],
    tasks,
    containers,
  };
}
