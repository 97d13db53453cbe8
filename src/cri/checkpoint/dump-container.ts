// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from "node:fs/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
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

export type DumpNeeds = HandlerOfPodNeeds & Pick<CriParts, "client" | "layerArchives">;

/**
 * Writes what a container is at this moment to a folder that is made: CRIU's image and the writable layer. It runs on, or
 * stands still, as before. FAILED_PRECONDITION with CRIU's own reason when CRIU is missing or gives up.
 */
export async function dumpContainer(
  parts: DumpNeeds,
  op: Operation,
  { id, task, folder }: { readonly id: string; readonly task: Task; readonly folder: string },
): Promise<void> {
  const files = checkpointFiles(folder);
  await mkdir(files.criu, { recursive: true, mode: 0o700 });
  await op.run("criu", () => dump(task, files.criu, op));
  // Right after the dump: what the container writes in between, its restored self finds written.
  await op.run("rootfs", () => parts.layerArchives.pack(id, files.rootfsDiff, op));
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

/** Writes what a container is called and made of beside its dump. */
export async function describeContainer(
  parts: DumpNeeds,
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
