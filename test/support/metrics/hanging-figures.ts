// SPDX-License-Identifier: Apache-2.0
// A thread that reads figures, but stands still for good when it is to read /hangs, as a read in the kernel may.
import { parentPort, workerData } from "node:worker_threads";
import type {
  FigureAnswer,
  FiguresThreadData,
  NumberedRequest,
} from "../../../src/metrics/kernel-figures-requests.ts";

const port = parentPort;
port?.on("message", (requests: readonly NumberedRequest[]) => {
  const answers: FigureAnswer[] = [];
  for (const { sequence, request } of requests) {
    if (request.kind === "interfaces") process.exit(1);
    Atomics.store((workerData as FiguresThreadData).reading, 0, sequence);
    const folder = request.paths.version === 2 ? request.paths.folder : "";
    if (folder === "/hangs") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    answers.push({ sequence, value: folder });
  }
  port.postMessage(answers);
});
port?.postMessage(undefined);
