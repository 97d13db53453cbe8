// SPDX-License-Identifier: Apache-2.0
import { Socket } from "node:net";
import { openFifoReader } from "../base/os/fifo.ts";
import { StdinFifo } from "../base/os/stdin-fifo.ts";
import type { SessionFifos } from "./ports.ts";

/** Our ends of a process's FIFOs; disposing closes them. */
export class ProcessPipes implements Disposable {
  readonly stdin: StdinFifo | undefined;
  readonly stdout: Socket | undefined;
  readonly stderr: Socket | undefined;

  /** Opens what has a path, without waiting for the other end. Throws Node's system error. */
  constructor(fifos: SessionFifos) {
    try {
      if (fifos.stdin !== "") this.stdin = new StdinFifo(fifos.stdin);
      this.stdout = openOutput(fifos.stdout);
      this.stderr = openOutput(fifos.stderr);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.stdin?.[Symbol.dispose]();
    this.stdout?.destroy();
    this.stderr?.destroy();
  }
}

function openOutput(path: string): Socket | undefined {
  if (path === "") return undefined;
  // A Socket reads through the event loop's poller; fs streams would hold a thread each.
  const socket = new Socket({ fd: openFifoReader(path), readable: true, writable: false });
  socket.on("error", () => {}); // "close" follows
  return socket;
}
