// SPDX-License-Identifier: Apache-2.0
import { parentPort, workerData } from "node:worker_threads";
import type { LogNotice, NumberedRequest } from "./messages.ts";
import { PumpRoom } from "./pump-room.ts";

/** Entry of the log worker thread. All the work is in PumpRoom; this only binds it to the port. */
export interface LogWorkerData {
  readonly maxLineBytes: number;
}

const port = parentPort;
if (port !== null) {
  const { maxLineBytes } = workerData as LogWorkerData;
  const room = new PumpRoom(maxLineBytes, (notice: LogNotice) => port.postMessage(notice));
  port.on("message", (request: NumberedRequest) => room.handle(request));
}
