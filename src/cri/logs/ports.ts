// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { IoConfig, ProcessIo } from "../../client/ports.ts";

/**
 * Container logs: a worker thread reads the FIFOs of all containers and writes CRI log files. Only
 * messages cross the boundary, so the worker could as well be a process of its own.
 */
export interface ContainerLogs extends AsyncDisposable {
  /** Makes FIFOs in a folder of their own, opens their read ends and the log file. Tasks.Create may follow at once. */
  open(options: LogOptions, call: Cancellable): Promise<ContainerLog>;
  /** Opens the read ends of FIFOs that outlived the daemon, and goes on in the log file. */
  resume(
    options: LogOptions & { readonly config: IoConfig; readonly stopped: boolean },
    call: Cancellable,
  ): Promise<ContainerLog>;
}

export interface LogOptions {
  readonly containerId: string;
  /** Absolute path; "" discards the output. */
  readonly logPath: string;
  readonly terminal: boolean;
  /** Make a stdin FIFO too (and keep its write end open until closeStdin). */
  readonly stdin: boolean;
}

export interface ContainerLog extends ProcessIo {
  /** Closes and opens the log file anew, for rotation. No line is lost or doubled. INTERNAL with errno when it cannot be opened. */
  reopen(call: Cancellable): Promise<void>;
  /** Counts so far: lines and bytes written, and what a full disk cost. */
  counts(): { readonly lines: number; readonly bytes: number; readonly lostBytes: number };
}
