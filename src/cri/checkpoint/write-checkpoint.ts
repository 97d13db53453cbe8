// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { packArchive } from "../../checkpoint/pack-archive.ts";
import type { Task } from "../../client/ports.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { CriParts } from "../parts.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { type DumpNeeds, describeContainer, dumpContainer } from "./dump-container.ts";

export type WriteCheckpointNeeds = DumpNeeds & Pick<CriParts, "paths" | "remover">;

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
  try {
    await dumpContainer(parts, op, { id, task, folder });
    await op.run("describe", () => describeContainer(parts, record, folder, op));
    await op.run("archive", () => packArchive(folder, location, op));
  } finally {
    await parts.remover.remove(folder, parts.paths.containers);
  }
}
