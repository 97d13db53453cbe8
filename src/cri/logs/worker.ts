// SPDX-License-Identifier: Apache-2.0
import { parentPort } from "node:worker_threads";
import type { LogNotice, NumberedRequest } from "./messages.ts";
import { PumpRoom } from "./pump-room.ts";

/** Entry of the log worker thread. All the work is in PumpRoom; this only binds it to the port. */
const port = parentPort;
if (port !== null) {
  const room = new PumpRoom((notice: LogNotice) => port.postMessage(notice));
  port.on("message", (request: NumberedRequest) => room.handle(request));
}
