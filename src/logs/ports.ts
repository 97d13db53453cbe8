// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { IoConfig, ProcessIo } from "../client/ports.ts";

/**
 * Container logs: a worker thread reads the FIFOs of all containers and writes CRI log files. Only
 * messages cross the boundary, so the worker could as well be a process of its own.
 */
export interface ContainerLogs extends AsyncDisposable {
  /** Starts what the first log would wait for, the worker. */
  prepare(): void;
  /** Makes FIFOs in a folder of their own, opens their read ends and the log file. Tasks.Create may follow at once. */
  open(options: LogOptions, call: Cancellable): Promise<ContainerLog>;
  /** Opens the read ends of FIFOs that outlived the daemon, and goes on in the log file. */
  resume(
    options: LogOptions & { readonly config: IoConfig; readonly stopped: boolean },
    call: Cancellable,
  ): Promise<ContainerLog>;
  /**
   * For a container whose task ended together with its shim: writes what its FIFOs still hold to its log, and removes
   * them. Nothing happens where there are none.
   */
  salvage(options: LogOptions, call: Cancellable): Promise<void>;
  /**
   * Removes FIFOs of no log, which a crash left, but for those of `kept` containers; call it when all other logs are
   * resumed, and before anything new is started. Answers how many folders were removed.
   */
  removeOrphans(kept?: readonly string[]): Promise<number>;
  /** Counts of all logs since the daemon began, also of those that are closed. */
  totals(): { readonly bytes: number; readonly lostBytes: number };
}

export interface LogOptions {
  readonly containerId: string;
  /** Absolute path; "" discards the output. */
  readonly logPath: string;
  /** The pod's folder of logs, a parent of `logPath`: no symbolic link is followed below it. */
  readonly logFolder: string;
  readonly terminal: boolean;
  /** Make a stdin FIFO too (and keep its write end open until closeStdin). */
  readonly stdin: boolean;
}

export interface ContainerLog extends ProcessIo {
  /**
   * Settles when what the FIFOs hold will outlive this daemon; never rejects. Wait for it before the container may
   * write.
   */
  readonly held: Promise<void>;
  /** Closes and opens the log file anew, for rotation. No line is lost or doubled. INTERNAL with errno when it cannot be opened. */
  reopen(call: Cancellable): Promise<void>;
  /**
   * Copies the output from now on into FIFOs whose read ends are open, beside writing the log. What is not read waits
   * up to a limit; a reader that stays over it is cut off. Any number of taps at once. INTERNAL with errno when the
   * FIFOs cannot be opened.
   */
  tap(fifos: TapFifos, call: Cancellable): Promise<LogTap>;
  /** Counts so far: lines and bytes written, and bytes lost to a full disk. */
  counts(): { readonly lines: number; readonly bytes: number; readonly lostBytes: number };
}

export interface TapFifos {
  /** "" for a stream that is not wanted. */
  readonly stdout: string;
  readonly stderr: string;
}

/** One reader's copy of a container's output. Disposing ends it and leaves the FIFOs. */
export interface LogTap extends AsyncDisposable {
  /**
   * Settles when the tap has ended, and never rejects: `end` when the output has ended and all is in the FIFOs,
   * `slow` when the reader was cut off, `gone` when it had closed, `lost` when the log worker died.
   */
  readonly ended: Promise<"end" | "slow" | "gone" | "lost">;
}
