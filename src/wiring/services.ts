// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { contentTable } from "../content/blob-record.ts";
import { imagesTable } from "../images/image-records.ts";
import { containersTable } from "../metadata/records.ts";
import { definePlugin, type PluginFacts, pluginUri } from "../plugin/plugin.ts";
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
import type { RuntimePlugins } from "./runtime.ts";
import type { StoragePlugins } from "./storage.ts";

/** containerd's services, as plain implementations without a transport. */
// oxlint-disable-next-line typescript/explicit-module-boundary-types -- the plugins' types are their instances', inferred
export function servicePlugins(
  { config, live, version, revision }: Environment,
  { metadata, content, leases, trees }: StoragePlugins,
  { exchange, runtime }: RuntimePlugins,
  listPlugins: () => readonly PluginFacts[],
) {
  const type = pluginTypes.service;
  const deprecations = new Deprecations();
  const tasks = definePlugin({
    type,
    id: "tasks-service",
    requires: [metadata, content, leases, trees, runtime].map(pluginUri),
    init: (context) => {
      const { remover } = context.get(trees);
      const checkpointDir = path.join(config.root, "checkpoints");
      void remover.sweep(checkpointDir); // never rejects
      return createTasksService({
        runtime: context.get(runtime),
        metadata: context.get(metadata),
        content: context.get(content),
        leases: context.get(leases),
        deprecations,
        checkpointDir,
        remover,
        stateTimeoutMs: () => live.current.timeouts.taskStateMs,
      });
    },
  });
  const containers = definePlugin({
    type,
    id: "containers-service",
    requires: [pluginUri(metadata), pluginUri(exchange), pluginUri(runtime)],
    init: (context) => {
      const manager = context.get(runtime);
      return createContainersService({
        metadata: context.get(metadata),
        events: context.get(exchange),
        hasTask: (namespace, id) => manager.get(namespace, id) !== undefined,
      });
    },
  });
  const namespaces = definePlugin({
    type,
    id: "namespaces-service",
    requires: [pluginUri(metadata), pluginUri(exchange)],
    init: (context) => {
      const store = context.get(metadata);
      return createNamespacesService({
        metadata: store,
        events: context.get(exchange),
        users: [
          tableUser("containers", containersTable(store)),
          tableUser("images", imagesTable(store)),
          tableUser("blobs", contentTable(store)),
          ...["overlayfs", "native"].map((name) =>
            tableUser(`snapshots on ${name}`, snapshotsTable(store, name)),
          ),
        ],
      });
    },
  });
  const events = definePlugin({
    type,
    id: "events-service",
    requires: [pluginUri(exchange)],
    init: (context) => createEventsService(context.get(exchange)),
  });
  const introspection = definePlugin({
    type,
    id: "introspection-service",
    requires: [],
    init: async () =>
      createIntrospectionService({
        plugins: listPlugins,
        uuid: await loadServerId(config.root),
        deprecations: () => deprecations.list(),
        runtimeInfo: createRuntimeInfoReader(),
      }),
  });
  const versions = definePlugin({
    type,
    id: "version-service",
    requires: [],
    init: () => createVersionService({ version, revision }),
  });
  const health = definePlugin({
    type,
    id: "health-service",
    requires: [],
    init: () => createHealthService(),
  });
  return { tasks, containers, namespaces, events, introspection, versions, health };
}

export type ServicePlugins = ReturnType<typeof servicePlugins>;
