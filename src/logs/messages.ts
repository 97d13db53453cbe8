// SPDX-License-Identifier: Apache-2.0
import type { StreamName } from "./line-formatter.ts";
import type { TapEnd } from "./output-tap.ts";

/** What the worker gets to know when it starts. */
export interface LogWorkerData {
  /** Of a BusyMark. */
  readonly busy: SharedArrayBuffer;
}

/** Unfinished lines by stream, see LineFormatter: a worker has read them, and the next one goes on with them. */
export type UnfinishedLines = Readonly<Partial<Record<StreamName, SharedArrayBuffer | undefined>>>;

/** What the daemon and the log worker say to each other. */
export interface OpenPump {
  readonly kind: "open";
  readonly key: string;
  /** "" discards the output. */
  readonly logPath: string;
  /** The pod's folder of logs, a parent of `logPath`; what is below it is not trusted. */
  readonly logFolder: string;
  /** FIFO paths; "" for a stream that does not exist. */
  readonly stdout: string;
  readonly stderr: string;
  /** Path of the read journal; "" for none. */
  readonly journal: string;
  /** The FIFOs have had writers before: they may hold output, and may have ended. */
  readonly resume: boolean;
  /** Unfinished lines of the worker before this one, where there is no journal. */
  readonly unfinished: UnfinishedLines;
  /** Longer lines are split; ≤ 0 for no limit. */
  readonly maxLineBytes: number;
}

export interface ReopenLog {
  readonly kind: "reopen";
  readonly key: string;
}

/** Copies the output from now on, raw, into FIFOs that somebody reads already. */
export interface AddTap {
  readonly kind: "tap";
  readonly key: string;
  readonly tap: string;
  /** FIFO paths; "" for a stream that is not wanted. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface RemoveTap {
  readonly kind: "untap";
  readonly key: string;
  readonly tap: string;
}

export interface ClosePump {
  readonly kind: "close";
  readonly key: string;
}

/** Ends all pumps, when the daemon is stopped: nothing that was read is lost. */
export interface CloseAll {
  readonly kind: "close-all";
}

export type LogRequest = OpenPump | ReopenLog | AddTap | RemoveTap | ClosePump | CloseAll;

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
  /** A tap has ended without having been removed. */
  | {
      readonly kind: "tap-ended";
      readonly key: string;
      readonly tap: string;
      readonly why: TapEnd;
    }
  /** New counts of the pumps that read something, about once a second. */
  | { readonly kind: "counts"; readonly counts: readonly (readonly [string, LogCounts])[] }
  /** Where a stream's unfinished line is from now on. */
  | {
      readonly kind: "unfinished";
      readonly key: string;
      readonly stream: StreamName;
      readonly memory: SharedArrayBuffer | undefined;
    }
  | { readonly kind: "loss-began"; readonly key: string; readonly errno: string }
  | { readonly kind: "loss-ended"; readonly key: string; readonly lostBytes: number }
  /** What a kill of the daemon costs: there is no read journal, or it cannot be written. */
  | { readonly kind: "unguarded"; readonly key: string; readonly message: string }
  /** The container's output is still read, but something is wrong with it. */
  | { readonly kind: "trouble"; readonly key: string; readonly message: string };
