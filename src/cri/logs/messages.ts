// SPDX-License-Identifier: Apache-2.0

/**
 * What the daemon and the log worker say to each other. Only plain data crosses, so the worker could
 * run as a process of its own, and could one day outlive the daemon.
 *
 * To come with attach: a `tap` request naming a container, on which the worker sends the raw bytes of
 * both streams as they are read, beside writing the log.
 */
export interface OpenPump {
  readonly kind: "open";
  readonly key: string;
  /** "" discards the output. */
  readonly logPath: string;
  /** FIFO paths; "" for a stream that does not exist. */
  readonly stdout: string;
  readonly stderr: string;
  /** The FIFOs have had writers already: they may hold output, and be at their end. */
  readonly resume: boolean;
}

export interface ReopenLog {
  readonly kind: "reopen";
  readonly key: string;
}

export interface ClosePump {
  readonly kind: "close";
  readonly key: string;
}

/** Ends all pumps, in an orderly stop of the daemon: nothing that was read is lost. */
export interface CloseAll {
  readonly kind: "close-all";
}

export type LogRequest = OpenPump | ReopenLog | ClosePump | CloseAll;

/** A request with the number its answer carries. */
export type NumberedRequest = LogRequest & { readonly sequence: number };

export interface LogCounts {
  readonly lines: number;
  readonly bytes: number;
  readonly lostBytes: number;
}

export type LogNotice =
  | { readonly kind: "done"; readonly sequence: number }
  | {
      readonly kind: "failed";
      readonly sequence: number;
      /** errno name, `ENOENT`. */
      readonly errno: string;
      readonly message: string;
    }
  /** Both streams are at their end and all is written. */
  | { readonly kind: "ended"; readonly key: string; readonly counts: LogCounts }
  /** New figures of the pumps that moved, about once a second. */
  | { readonly kind: "counts"; readonly counts: readonly (readonly [string, LogCounts])[] }
  | { readonly kind: "loss-began"; readonly key: string; readonly errno: string }
  | { readonly kind: "loss-ended"; readonly key: string; readonly lostBytes: number }
  /** The container's output goes on being read, but something about it is not as it should be. */
  | { readonly kind: "trouble"; readonly key: string; readonly message: string };
