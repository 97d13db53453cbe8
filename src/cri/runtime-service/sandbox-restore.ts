// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { fault } from "../../base/errors.ts";
import { unpackArchive } from "../../checkpoint/checkpoint-archive.ts";
import type { RestorePodRequest, RestorePodResponseInit } from "../../gen/cri.gen.ts";
import type { CallContext } from "../../rpc/service.ts";
import type { CheckpointSource } from "../checkpoint/open-checkpoint.ts";
import { podArchiveName, podFiles, readPod } from "../checkpoint/pod-files.ts";
import { matchPod } from "../checkpoint/same-process.ts";
import { type Handler, handlerFor } from "../handlers/handlers.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { CriParts } from "../parts.ts";
import { containersOf } from "../store/container-record.ts";
import { newObjectId } from "../store/record-store.ts";
import {
  refuseOptions,
  sandboxName,
  type ValidContainerConfig,
  type ValidSandboxConfig,
  validContainerConfig,
  validSandboxConfig,
} from "../validate.ts";
import { type CreateContainerNeeds, makeContainer } from "./container-create.ts";
import { type RemovePodSandboxNeeds, removePodSandbox } from "./sandbox-remove.ts";
import { type RunPodSandboxNeeds, startSandbox } from "./sandbox-run.ts";
import type { Verb } from "./verb.ts";

type Needs = RunPodSandboxNeeds &
  RemovePodSandboxNeeds &
  CreateContainerNeeds &
  Pick<CriParts, "containers" | "sandboxes">;

/** Callers set a deadline of their own. */
const longestMs = 30 * 60_000;

/**
 * RestorePod: a new pod with the containers of a checkpoint, all in the state created: StartContainer has each go on. A
 * retry joins the one that runs, or gets what it has made; one that nobody waits for any more is undone. The rules are
 * those of cri-api's comments, 0.38.
 */
export function restorePod(parts: Needs): Verb<"RestorePod"> {
  return async (request, call) => {
    const wanted = wantedPod(parts, request);
    const { name } = wanted;
    return parts.operations.perform(
      {
        rpc: "RestorePod",
        object: name,
        joins: { request, whileWatched: true },
        limit: { ms: longestMs, what: `restoring sandbox "${name}"` },
      },
      call,
      async (op) => finishedRestore(parts, wanted) ?? restore(parts, op, wanted, call),
    );
  };
}

/** A request that can be carried out, as far as itself can tell. */
interface WantedPod {
  readonly name: string;
  readonly folder: string;
  readonly config: ValidSandboxConfig;
  readonly runtimeHandler: string;
  readonly handler: Handler;
  readonly containers: readonly ValidContainerConfig[];
}

function wantedPod(
  { config: { runtime } }: Pick<Needs, "config">,
  request: RestorePodRequest,
): WantedPod {
  const { checkpointPath, containerConfigs, options, runtimeHandler } = request;
  refuseOptions(options);
  if (!path.isAbsolute(checkpointPath) || checkpointPath.includes("\0")) {
    throw fault("INVALID_ARGUMENT", `checkpoint_path "${checkpointPath}" is not an absolute path`);
  }
  const config = validSandboxConfig(request.config);
  if (containerConfigs.length === 0) throw fault("INVALID_ARGUMENT", "container_configs is empty");
  const containers = containerConfigs.map(validContainerConfig);
  const names = new Set(containers.map(({ metadata }) => metadata.name));
  if (names.size < containers.length) {
    throw fault("INVALID_ARGUMENT", "container_configs names a container twice");
  }
  return {
    name: sandboxName(config.metadata),
    folder: checkpointPath,
    config,
    runtimeHandler,
    handler: handlerFor(runtime, runtimeHandler),
    containers,
  };
}

/** What an earlier attempt made, if the request is the same and none of it has been started. */
function finishedRestore(
  { containers, sandboxes }: Pick<Needs, "containers" | "sandboxes">,
  wanted: WantedPod,
): RestorePodResponseInit | undefined {
  const record = sandboxes.byName(wanted.name);
  if (!record) return undefined;
  const made = containersOf(containers, record.id);
  const restored = wanted.containers.map((config) =>
    made.find((one) => one.checkpoint !== undefined && isDeepStrictEqual(one.config, config)),
  );
  const isSame =
    record.state.kind === "ready" &&
    record.runtimeHandler === wanted.runtimeHandler &&
    isDeepStrictEqual(record.config, wanted.config) &&
    restored.every((one) => one?.state.kind === "created");
  if (!isSame) {
    throw fault(
      "ALREADY_EXISTS",
      `sandbox name "${wanted.name}" is held by sandbox "${record.id}", which is not this checkpoint restored`,
    );
  }
  return answer(
    record.id,
    wanted,
    restored.map((one) => one?.id ?? ""),
  );
}

function answer(
  podSandboxId: string,
  { containers }: WantedPod,
  ids: readonly string[],
): RestorePodResponseInit {
  const restoredContainers = containers.map(({ metadata }, at) => ({
    name: metadata.name,
    containerId: ids[at] ?? "",
  }));
  return { podSandboxId, restoredContainers };
}

async function restore(
  parts: Needs,
  op: Operation,
  wanted: WantedPod,
  call: CallContext,
): Promise<RestorePodResponseInit> {
  const { paths, remover } = parts;
  const folder = path.join(paths.restores, newObjectId());
  try {
    const found = await op.run("checkpoint", () => open(parts, op, wanted, folder));
    const { config, runtimeHandler } = wanted;
    const podSandboxId = await op.run("sandbox", () =>
      startSandbox(parts, { config, runtimeHandler }, op),
    );
    op.undo("sandbox", (limit) =>
      removePodSandbox(parts)({ podSandboxId }, { ...call, signal: limit.signal }),
    );
    const ids: string[] = [];
    for (const { config: container, source } of found) {
      const request = { podSandboxId, config: container, checkpoint: source };
      ids.push(await op.run("container", () => makeContainer(parts, request, op)));
    }
    op.signal.throwIfAborted(); // nobody waits for it: it would be nobody's pod
    return answer(podSandboxId, wanted, ids);
  } finally {
    await remover.remove(folder, paths.restores);
  }
}

interface FoundContainer {
  readonly config: ValidContainerConfig;
  readonly source: CheckpointSource;
}

/** Unpacks the checkpoint, and sees that it is of what is wanted: before anything is made. */
async function open(
  { images }: Pick<Needs, "images">,
  op: Operation,
  wanted: WantedPod,
  folder: string,
): Promise<readonly FoundContainer[]> {
  const { config, containers, handler } = wanted;
  await unpackArchive(path.join(wanted.folder, podArchiveName), folder, op, { own: true });
  const pod = await readPod(folder);
  if (pod.runtime !== handler.config.type) {
    throw fault(
      "FAILED_PRECONDITION",
      `runtime handler "${handler.name}" is a ${handler.config.type}, and the checkpoint one of a ${pod.runtime}`,
    );
  }
  const indexes = matchPod(pod, config, containers);
  return containers.map((container, at) => {
    const { image: name } = container.image;
    const image = images.find(name);
    if (!image) throw fault("NOT_FOUND", `image "${name}" is not present on this node`);
    const index = indexes[at] ?? 0;
    if (image.id !== pod.containers[index]?.imageId) {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot restore container "${container.metadata.name}": image "${name}" is not the checkpoint's`,
      );
    }
    const source = { kind: "unpacked", folder: podFiles(folder).container(index), image } as const;
    return { config: container, source };
  });
}
