// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { errnoOf } from "../../base/errors.ts";
import { kindLabel } from "../../client/kind-label.ts";
import type { PodNetworkRequest } from "../../network/ports.ts";
import { isDoomed } from "../../trees/tree-remover.ts";
import type { CriParts } from "../parts.ts";
import { criNamespace } from "../ports.ts";
import { sandboxOfVolume } from "../sandbox/image-volumes.ts";
import { type RemoveFilesNeeds, removeSandboxFiles } from "../sandbox/sandbox-files.ts";
import { netnsPathOf } from "../store/sandbox-record.ts";
import { absentAsUndefined, purgeContainer } from "../task/purge-task.ts";
import { type LeftoverExecNeeds, leftoverExecs } from "./leftover-execs.ts";

export type LeftoverNeeds = LeftoverExecNeeds &
  RemoveFilesNeeds &
  Pick<CriParts, "client" | "containers" | "log" | "metadata" | "netns" | "network"> &
  Pick<CriParts, "sandboxes" | "snapshotter">;

const leftoverMs = 10_000;

interface Leftover {
  readonly what: string;
  readonly remove: (call: Cancellable) => Promise<unknown>;
}

/**
 * Looks for what carries our mark but belongs to no record: containers, snapshots, folders, mounts,
 * networks and their namespaces. What belongs to a damaged record is none: its pod may run. Nobody may call yet: what is
 * being made has no record either. Nor is what is of the `kept`, whose recovery goes on. Answers how all that is removed, which may go on while calls come in, and answers what went.
 */
export async function findLeftovers(
  parts: LeftoverNeeds,
  kept: readonly string[],
  call: Cancellable,
): Promise<(call: Cancellable) => Promise<string[]>> {
  const known = knownIds(parts, kept);
  const found = await Promise.all(finders.map((find) => findSome(find, parts, known, call)));
  return async (own) => {
    const removed: string[] = [];
    for (const some of found) {
      const done = await Promise.all(some.map((leftover) => removeOne(parts, leftover, own)));
      removed.push(...done.flat());
    }
    return removed;
  };
}

/** What cannot be listed is told of, and left for the next start. */
async function findSome(
  find: Find,
  parts: LeftoverNeeds,
  known: ReadonlySet<string>,
  call: Cancellable,
): Promise<Leftover[]> {
  try {
    return await find(parts, known, call);
  } catch (error) {
    call.signal.throwIfAborted();
    parts.log.error({ err: error }, "leftovers could not be looked for");
    return [];
  }
}

function knownIds(parts: LeftoverNeeds, kept: readonly string[]): ReadonlySet<string> {
  return new Set([
    ...kept,
    ...[...parts.sandboxes.list()].map(({ id }) => id),
    ...[...parts.containers.list()].map(({ id }) => id),
    ...parts.metadata.damaged.map(({ id }) => id),
  ]);
}

async function removeOne(
  parts: LeftoverNeeds,
  { what, remove }: Leftover,
  call: Cancellable,
): Promise<string[]> {
  using limit = deadline(leftoverMs, `removing ${what}`, call.signal);
  const { log } = parts;
  try {
    await remove(limit);
    log.warn({ leftover: what }, "leftover removed");
    return [what];
  } catch (error) {
    log.error({ err: error, leftover: what }, "leftover could not be removed");
    return [];
  }
}

type Find = (
  parts: LeftoverNeeds,
  known: ReadonlySet<string>,
  call: Cancellable,
) => Promise<Leftover[]>;

const containers: Find = async ({ client }, known, call) => {
  const all = await client.containers([], call);
  return all
    .filter(({ id, record }) => record.labels[kindLabel] !== undefined && !known.has(id))
    .map((container) => ({
      what: `container ${container.id}`,
      remove: (own) => purgeContainer(client, container.id, container, own),
    }));
};

const snapshots: Find = ({ snapshotter }, known) =>
  Promise.resolve(
    snapshotter
      .list(criNamespace)
      .filter(
        ({ kind, name, labels }) =>
          kind !== "COMMITTED" &&
          labels[kindLabel] !== undefined &&
          !known.has(sandboxOfVolume({ labels }) ?? name),
      )
      .map(({ name }) => ({
        what: `snapshot ${name}`,
        remove: (own) => absentAsUndefined(() => snapshotter.remove(criNamespace, name, own)),
      })),
  );

const sandboxFolders: Find = async ({ paths, hostMounts, remover }, known) => {
  await Promise.all(paths.sandboxes.map((folder) => remover.sweep(folder)));
  const names = await Promise.all(paths.sandboxes.map(entriesOf));
  return [...new Set(names.flat())]
    .filter((id) => !known.has(id) && !isDoomed(id))
    .map((id) => ({
      what: `files of sandbox ${id}`,
      remove: () => removeSandboxFiles({ paths, hostMounts, remover }, id),
    }));
};

const containerFolders: Find = async ({ paths, remover }, known) => {
  await remover.sweep(paths.containers);
  const names = await entriesOf(paths.containers);
  return names
    .filter((id) => !known.has(id) && !isDoomed(id))
    .map((id) => ({
      what: `files of container ${id}`,
      remove: () => remover.remove(paths.container(id)),
    }));
};

const namespaces: Find = async ({ paths, metadata, netns, sandboxes }) => {
  // A damaged sandbox's namespace cannot be told from a leftover one.
  if (metadata.damaged.length > 0) return [];
  const used = new Set([...sandboxes.list(), ...sandboxes.stored()].map(netnsPathOf));
  const names = await entriesOf(paths.netns);
  const files = names.map((name) => path.join(paths.netns, name.replace(/\.user$/, "")));
  return [...new Set(files)]
    .filter((file) => !used.has(file))
    .map((file) => ({
      what: `network namespace ${file}`,
      remove: (own) => netns.remove(file, own),
    }));
};

/** Addresses and ports go before the namespace: plugins look into it. */
const networks: Find = async ({ paths, netns, network }, known) => {
  const ids = await network.attachedSandboxes();
  return ids
    .filter((id) => !known.has(id))
    .map((id) => ({
      what: `network of sandbox ${id}`,
      remove: async (own) => {
        const netnsPath = path.join(paths.netns, id);
        const usable = (await netns.isAlive(netnsPath)) ? netnsPath : "";
        try {
          await network.teardown(nobodysNetwork(id, usable), own);
        } catch (error) {
          await network.abandon(id);
          throw error;
        }
      },
    }));
};

/** A teardown works from what setup wrote down: the id says it all. */
function nobodysNetwork(sandboxId: string, netnsPath: string): PodNetworkRequest {
  return {
    sandboxId,
    netnsPath,
    podName: "",
    podNamespace: "",
    podUid: "",
    annotations: {},
    portMappings: [],
    dns: { servers: [], searches: [], options: [] },
    cgroupPath: "",
  };
}

/** In this order: a snapshot is in use until its container's task is gone. */
const finders: readonly Find[] = [
  leftoverExecs,
  containers,
  snapshots,
  sandboxFolders,
  containerFolders,
  networks,
  namespaces,
];

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
