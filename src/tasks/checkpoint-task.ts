// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { fault } from "../base/errors.ts";
import type { TypesDescriptorInit } from "../gen/types.gen.ts";
import type { ProtoAny } from "../gen/wellknown.gen.ts";
import { codec, unpackAny } from "../rpc/codec.ts";
import type { CallContext } from "../rpc/service.ts";
import type { RuntimeTask } from "../runtime/ports.ts";
import { requireContent, storeCheckpoint, storeSpec } from "./checkpoint-content.ts";
import type { TasksParts, TasksVerb } from "./parts.ts";

type Needs = Pick<TasksParts, "checkpointDir" | "content" | "leases" | "lookup" | "remover">;

/**
 * Checkpoint: writes a CRIU image of the task. With `image_path` among the options it goes to that
 * folder and nothing is answered; else it becomes a blob, and the answer names it and the spec's.
 */
export function checkpointTask(needs: Needs): TasksVerb<"Checkpoint"> {
  return async ({ containerId, options }, call) => {
    const { spec } = needs.lookup.container(containerId, call);
    const task = needs.lookup.task(containerId, call);
    const imagePath = imagePathOf(containerId, options);
    if (imagePath !== "") {
      await task.checkpoint({ path: imagePath, options }, call);
      return { descriptors: [] };
    }
    const bytes = codec("google.protobuf.Any").encode(spec ?? {});
    return { descriptors: await checkpointToContent(needs, { task, options, spec: bytes }, call) };
  };
}

interface Dump {
  readonly task: RuntimeTask;
  readonly options: ProtoAny | null;
  /** Of its container: the bytes of its Any. */
  readonly spec: Uint8Array;
}

async function checkpointToContent(
  needs: Needs,
  { task, options, spec }: Dump,
  call: CallContext,
): Promise<TypesDescriptorInit[]> {
  requireContent(needs);
  const name = `checkpoint-${randomBytes(8).toString("hex")}`;
  const folder = path.join(needs.checkpointDir, name);
  await mkdir(needs.checkpointDir, { recursive: true, mode: 0o700 });
  await mkdir(folder, { mode: 0o700 });
  await using folders = new AsyncDisposableStack();
  folders.defer(() => needs.remover.remove(folder));
  await task.checkpoint({ path: folder, options }, call);
  return [
    await storeCheckpoint(needs, name, folder, call),
    await storeSpec(needs, `${name}-spec`, spec, call),
  ];
}

function imagePathOf(id: string, options: ProtoAny | null): string {
  if (!options?.type_url) return "";
  const known = unpackAny("containerd.runc.v1.CheckpointOptions", options);
  if (known) return known.imagePath;
  throw fault("INVALID_ARGUMENT", `checkpoint options of task "${id}" are a ${options.type_url}`);
}
