// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";

/**
 * The streaming server: exec, attach and port-forward for the kubelet, crictl and kubectl. CRI's
 * Exec, Attach and PortForward only hand out a URL; the client then connects to it, and the server
 * asks its SessionHost for the process or the pod behind it.
 *
 * Sockets, protocols and the pumping of bytes live in a worker thread. Bytes never pass through the
 * main thread: processes are reached by FIFOs, which the worker opens by path, and connections into
 * pods by descriptor. Only control messages cross over.
 */
export interface StreamingServer extends AsyncDisposable {
  /** `host:port` as bound. */
  readonly address: string;
  /**
   * Answer a URL with a one-time token, good for a minute. INVALID_ARGUMENT for a bad mix of streams,
   * RESOURCE_EXHAUSTED with 1,000 tokens outstanding, UNAVAILABLE while the worker is not running,
   * DEADLINE_EXCEEDED when it does not answer.
   * Callers check first that the container or pod runs; it is looked up again when the client comes.
   */
  exec(target: ExecTarget, call: Cancellable): Promise<string>;
  attach(target: AttachTarget, call: Cancellable): Promise<string>;
  portForward(target: PortForwardTarget, call: Cancellable): Promise<string>;
}

/** What can change while a server serves. */
export interface StreamingLimits {
  /** A session without traffic for this long is closed; 0 never closes one. */
  readonly idleTimeoutMs: number;
  /** How long a client may take to open the streams of its session. */
  readonly creationTimeoutMs: number;
  readonly maxSessions: number;
}

/** A server whose limits the configuration may change. */
export interface LimitedStreamingServer extends StreamingServer {
  /** Takes effect soon; sessions beyond a lower `maxSessions` stay. */
  limit(limits: StreamingLimits): void;
}

export interface StreamSelection {
  readonly stdin: boolean;
  readonly stdout: boolean;
  /** Excludes `tty`: a terminal has one output. */
  readonly stderr: boolean;
  readonly tty: boolean;
}

export interface ExecTarget extends StreamSelection {
  readonly containerId: string;
  readonly command: readonly string[];
}

export interface AttachTarget extends StreamSelection {
  readonly containerId: string;
}

export interface PortForwardTarget {
  readonly sandboxId: string;
  /** Ports the client asked CRI for; it may open others. Empty for any. */
  readonly ports: readonly number[];
}

/**
 * What stands behind the server, in the main thread. Each call opens a session for one connected
 * client; its `signal` aborts when that client is gone. A fault it throws reaches the client as the
 * session's status, message and all.
 */
export interface SessionHost {
  exec(target: ExecTarget, call: Cancellable): Promise<ProcessSession>;
  attach(target: AttachTarget, call: Cancellable): Promise<ProcessSession>;
  portForward(target: PortForwardTarget, call: Cancellable): Promise<PortForwardSession>;
}

/**
 * One client at one process:
 *
 *     host.exec/attach ──► worker opens the FIFOs ──► start ──► … resize, closeStdin … ──► dispose
 *                                                                          ended ────────────┘
 *
 * The worker reads every output FIFO to its end and forwards what the client asked for, with
 * back-pressure: a slow client of an exec slows its process. For an attach the FIFOs are private to
 * the session: whoever fills them (the log worker's tap) must never wait for them, but buffer up to a
 * bound and then settle `ended` with a failure that says the client is too slow.
 *
 * Disposed exactly once, whatever happened: by a client that left, by the end of the process, by a
 * start that failed. Disposing an exec kills its process if it still runs and removes it and its
 * FIFOs; disposing an attach only removes the FIFOs.
 */
export interface ProcessSession extends AsyncDisposable {
  readonly fifos: SessionFifos;
  /**
   * After `ended`, output is read until its FIFOs end, or until nothing came for this long: a child in
   * the background that keeps stdout open cannot hold the session.
   */
  readonly drainTimeoutMs: number;
  /** Called when the worker holds its ends of the FIFOs: now the shim may open its own. `size` is the client's terminal's, where it is known so early. */
  start(call: Cancellable, size?: TerminalSize): Promise<void>;
  /** Settles when the process has exited or the session is over for another reason. Never rejects. */
  readonly ended: Promise<SessionEnd>;
  /** Called after `start` only, one at a time, with the latest size. Errors are logged, and the client does not get them. */
  resize(size: TerminalSize, call: Cancellable): Promise<void>;
  /**
   * The client closed its stdin and all of it is in the FIFO; the worker closes its own end when this returns. For an
   * exec: CloseIO. For an attach: CloseIO only with stdin_once, else nothing. A fault ends the session with it as the
   * status, unless the process exits within seconds: it would wait for input that never comes.
   */
  closeStdin(call: Cancellable): Promise<void>;
}

/** Existing FIFOs, by absolute path; "" where the process has no such stream. */
export interface SessionFifos {
  /** Opened so that neither end waits for the other, see StdinFifo. An attach gives the container's own. */
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

export type SessionEnd =
  /** 128 + n for signal n. An attach ends with 0 when the container stopped: its code is in its status. */
  | { readonly kind: "exited"; readonly exitCode: number }
  /** The client gets it as an error with status 500. */
  | { readonly kind: "failed"; readonly message: string };

export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

/** One client's connections into a pod. Disposing it ends nothing: connections belong to the worker. */
export interface PortForwardSession extends AsyncDisposable {
  /**
   * Connects to the port on the pod's loopback (127.0.0.1, then ::1) and answers the descriptor of a
   * connected, non-blocking, close-on-exec socket, which the worker owns from then on. The fault of a
   * failure, such as a refused port, reaches the client on that connection's error stream and leaves
   * the other connections alone. `signal` aborts with the session; a descriptor that comes too late
   * is closed by the server.
   */
  dial(port: number, call: Cancellable): Promise<number>;
}
