// SPDX-License-Identifier: Apache-2.0

import type { FaultCode } from "../base/errors.ts";
import type { StreamingConfig } from "../config/config.ts";
import type {
  AttachTarget,
  ExecTarget,
  PortForwardTarget,
  SessionEnd,
  SessionFifos,
  StreamingLimits,
  TerminalSize,
} from "./ports.ts";

/** What goes between the main thread and the streaming worker. */
export type SessionTarget =
  | ({ readonly kind: "exec" } & ExecTarget)
  | ({ readonly kind: "attach" } & AttachTarget)
  | ({ readonly kind: "port-forward" } & PortForwardTarget);

export interface StreamingWorkerData {
  readonly config: StreamingConfig;
  /** How often sessions are probed for clients that vanished or fell silent. */
  readonly probeMs: number;
}

export type WorkerRequest =
  /** Asks for a one-time path to a target. */
  | { readonly kind: "issue"; readonly sequence: number; readonly target: SessionTarget }
  /** The answer to a session's call. */
  | { readonly kind: "answer"; readonly sequence: number; readonly answer: Answer }
  | { readonly kind: "ended"; readonly session: number; readonly end: SessionEnd }
  | { readonly kind: "limit"; readonly limits: StreamingLimits }
  | { readonly kind: "close" };

export type WorkerNotice =
  | { readonly kind: "listening"; readonly address: string }
  | { readonly kind: "issued"; readonly sequence: number; readonly answer: Answer<string> }
  | {
      readonly kind: "call";
      readonly session: number;
      readonly sequence: number;
      readonly call: SessionCall;
    }
  /** The session is over: no call follows, and what the host opened for it can go. */
  | { readonly kind: "gone"; readonly session: number }
  | {
      readonly kind: "log";
      readonly level: "debug" | "info" | "warn";
      readonly fields: Readonly<Record<string, unknown>>;
      readonly message: string;
    }
  | { readonly kind: "failed"; readonly fault: FaultMessage }
  | { readonly kind: "closed" };

/** What a session asks the main thread for; all but `open` need it opened. */
export type SessionCall =
  | { readonly verb: "open"; readonly target: SessionTarget }
  | { readonly verb: "start"; readonly size: TerminalSize | undefined }
  | { readonly verb: "resize"; readonly size: TerminalSize }
  | { readonly verb: "closeStdin" }
  | { readonly verb: "dial"; readonly port: number };

export type Answer<T = unknown> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: FaultMessage };

/** A RuntimeFault as plain data: a message between threads does not keep its class. */
export interface FaultMessage {
  readonly code: FaultCode;
  readonly message: string;
}

/** What `open` answers for exec and attach. */
export interface OpenedProcess {
  readonly fifos: SessionFifos;
  readonly drainTimeoutMs: number;
}
