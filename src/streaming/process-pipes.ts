// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { Socket } from "node:net";
import type { SessionFifos } from "./ports.ts";

/** Our ends of a process's FIFOs; disposing closes them. */
export class ProcessPipes implements Disposable {
  readonly stdin: Socket | undefined;
  readonly stdout: Socket | undefined;
  readonly stderr: Socket | undefined;

  /** Opens what has a path, without waiting for the other end. Throws Node's system error. */
  constructor(fifos: SessionFifos) {
    try {
      // Both ways, so that the process need not have opened its end yet, and none has to be there.
      this.stdin = open(fifos.stdin, fs.constants.O_RDWR, { readable: false, writable: true });
      this.stdout = open(fifos.stdout, fs.constants.O_RDONLY, { readable: true, writable: false });
      this.stderr = open(fifos.stderr, fs.constants.O_RDONLY, { readable: true, writable: false });
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.stdin?.destroy();
    this.stdout?.destroy();
    this.stderr?.destroy();
  }
}

function open(
  path: string,
  mode: number,
  direction: { readonly readable: boolean; readonly writable: boolean },
): Socket | undefined {
  if (path === "") return undefined;
  const fd = fs.openSync(path, mode | fs.constants.O_NONBLOCK);
  // A Socket reads through the event loop's poller; fs streams would hold a thread each.
  const socket = new Socket({ fd, ...direction });
  socket.on("error", () => {}); // "close" follows
  return socket;
}
