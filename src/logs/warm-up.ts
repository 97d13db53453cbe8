// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { ContainerPump } from "./container-pump.ts";
import { LogClock } from "./log-clock.ts";
import { LogFile } from "./log-file.ts";
import { OutputBuffer } from "./output-buffer.ts";

/**
 * Sends the lines of this file through a pump to nowhere, nearly the way of all output. Without this the first read of a thread takes ten times as long as any
 * later one, or hundreds on a busy machine, while V8 compiles the code behind it. Answers how many lines it was; 0
 * where the file cannot be read.
 */
export function warmUp(): number {
  const file = new LogFile(undefined, { began: () => {}, ended: () => {} });
  try {
    using pump = new ContainerPump({
      file,
      maxLineBytes: 0,
      clock: new LogClock(),
      output: new OutputBuffer(),
      busy: (work) => work(),
      onUnfinished: () => {},
      onProgress: () => {},
      onEnded: () => {},
    });
    pump.addStream("stdout", import.meta.filename, undefined);
    pump.start({ drainFirst: true }); // to its end, at once
    writeNowhere();
  } catch {
    // logs work without it
  }
  return file.counts().lines;
}

function writeNowhere(): void {
  const nowhere = fs.openSync("/dev/null", "w");
  try {
    fs.writeSync(nowhere, Buffer.from("\n"), 0, 1);
  } finally {
    fs.closeSync(nowhere);
  }
}
