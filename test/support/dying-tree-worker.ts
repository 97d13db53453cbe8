// SPDX-License-Identifier: Apache-2.0
import { parentPort, workerData } from "node:worker_threads";
import { openAt, openFolder } from "../../src/base/os/at.ts";
import { Descriptors } from "../../src/trees/descriptors.ts";
import type { TreeRequest, TreeWorkerData } from "../../src/trees/messages.ts";

// A tree worker that opens a folder and dies when asked to measure "/die"; "/hang" it never answers; of anything
// else it says that it measured 7 inodes.
parentPort?.on("message", (message: TreeRequest) => {
  if (message.kind !== "run") return;
  const { descriptors } = workerData as TreeWorkerData;
  const { folder } = message.request as { folder: string };
  if (folder === "/die") {
    new Descriptors(descriptors).keep(openAt(-100, Buffer.from("/proc/self/task"), openFolder));
    throw new Error("dying");
  }
  if (folder === "/hang") return;
  const value = { blocks: 0, inodes: 7, isWhole: true };
  parentPort?.postMessage({ id: message.id, ok: true, value }, []);
});
