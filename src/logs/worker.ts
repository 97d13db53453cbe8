// SPDX-License-Identifier: Apache-2.0
import { parentPort, workerData } from "node:worker_threads";
import { relieveThread } from "../base/memory/memory-relief.ts";
import { lowerPriority, servingNiceness } from "../base/os/thread-priority.ts";
import { BusyMark } from "./busy-mark.ts";
import { LogPumps } from "./log-pumps.ts";
import type { LogNotice, LogWorkerData, NumberedRequest } from "./messages.ts";
import { warmUp } from "./warm-up.ts";

/** Entry of the log worker thread: connects LogPumps, which does all the work, to the port. */
const port = parentPort;
if (port !== null) {
  relieveThread();
  warmUp();
  lowerPriority(servingNiceness); // containers that flood their logs take the time that is left
  const { busy } = workerData as LogWorkerData;
  const mark = new BusyMark(busy, () => {
    pumps.leave();
    process.exit();
  });
  const pumps = new LogPumps((notice: LogNotice) => port.postMessage(notice), mark);
  port.on("message", (request: NumberedRequest) => pumps.handle(request));
}
