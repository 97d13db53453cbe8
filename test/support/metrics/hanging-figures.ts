// SPDX-License-Identifier: Apache-2.0
// A thread that reads figures, but stands still for good when it is to read /hangs, as a read in the kernel may.
import { parentPort } from "node:worker_threads";
import {
  type NumberedRequest,
  readySequence,
} from "../../../src/metrics/kernel-figures-requests.ts";

const port = parentPort;
port?.on("message", (requests: readonly NumberedRequest[]) => {
  for (const { sequence, request } of requests) {
    if (request.kind === "interfaces") process.exit(1);
    const folder = request.paths.version === 2 ? request.paths.folder : "";
    if (folder === "/hangs") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    port.postMessage({ sequence, value: folder });
  }
});
port?.postMessage({ sequence: readySequence });
