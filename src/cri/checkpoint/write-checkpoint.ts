// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
import { packArchive } from "../../checkpoint/pack-archive.ts";
import type { Task } from "../../client/ports.ts";
import { encodeExactJson } from "../../oci/encode-spec.ts";
import { packAny } from "../../rpc/codec.ts";
import { toContainerStatus } from "../convert/container.ts";
import { protoJson, specOf } from "../convert/verbose-json.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { CriParts } from "../parts.ts";
import { type HandlerOfPodNeeds, handlerOfPod } from "../sandbox/pod-handler.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { type CheckpointConfig, checkpointFiles } from "./checkpoint-files.ts";

export type WriteCheckpointNeeds = HandlerOfPodNeeds &
  Pick<CriParts, "client" | "layerArchives" | "paths" | "remover">;

/**
 * Writes a running container's checkpoint archive to `location`, whole or not at all. The container
 * runs on. FAILED_PRECONDITION with CRIU's own reason when CRIU is missing or gives up.
 */
export async function writeCheckpoint(
  parts: WriteCheckpointNeeds,
  op: Operation,
  { record, task, location }: { record: ContainerRecord; task: Task; location: string },
): Promise<void> {
  const { id } = record;
  const folder = `${parts.paths.container(id)}/checkpoint-${randomBytes(6).toString("hex")}`;
  const files = checkpointFiles(folder);
  await mkdir(files.criu, { recursive: true, mode: 0o700 });
  try {
    await op.run("criu", () => dump(task, files.criu, op));
    // Right after the dump: what the container writes in between, its restored self finds written.
    await op.run("rootfs", () => parts.layerArchives.pack(id, files.rootfsDiff, op));
    await op.run("describe", () => describe(parts, record, folder, op));
    await op.run("archive", () => packArchive(folder, location, op));
  } finally {
    await parts.remover.remove(folder, parts.paths.containers);
  }
}

async function dump(task: Task, imagePath: string, call: Cancellable): Promise<void> {
  const options = packAny("containerd.runc.v1.CheckpointOptions", {
    imagePath,
    openTcp: true,
    externalUnixSockets: true,
    fileLocks: true,
  });
  try {
    await task.checkpoint(options, call);
  } catch (error) {
    if (!isFault(error, "UNKNOWN", "INTERNAL")) throw error;
    throw fault("FAILED_PRECONDITION", error.message, { cause: error });
  }
}

async function describe(
  parts: HandlerOfPodNeeds & Pick<CriParts, "client">,
  record: ContainerRecord,
  folder: string,
  call: Cancellable,
): Promise<void> {
  const { client } = parts;
  const files = checkpointFiles(folder);
  const container = await client.loadContainer(record.id, call);
  const facts: CheckpointConfig = {
    id: record.id,
    name: record.config.metadata?.name ?? "",
    rootfsImage: record.config.image?.image ?? record.imageName,
    rootfsImageRef: record.imageRef,
    rootfsImageName: record.imageName,
    runtime: handlerOfPod(parts, record.sandboxId).config.type,
    createdTime: new Date(Number(record.createdAtNanos / 1_000_000n)).toISOString(),
    checkpointedTime: new Date().toISOString(),
    restored: false,
  };
  await Promise.all([
    writeFile(files.config, JSON.stringify(facts)),
    writeFile(files.spec, encodeExactJson(specOf(container.record.spec))),
    writeFile(files.status, JSON.stringify(protoJson(toContainerStatus(record)))),
  ]);
}
