// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { within } from "../../base/waits.ts";
import { dialLoopback } from "../../network/dial-loopback.ts";
import type {
  AttachTarget,
  ExecTarget,
  PortForwardSession,
  PortForwardTarget,
  ProcessSession,
  SessionHost,
} from "../../streaming/ports.ts";
import type { CriParts } from "../parts.ts";
import type { StreamKind } from "../ports.ts";
import { type ReadyNeeds, readySandbox } from "../sandbox/ready-sandbox.ts";
import { netnsPathOf, usesHostNetwork } from "../store/sandbox-record.ts";
import { type AttachNeeds, AttachSession } from "./attach-session.ts";
import { type ExecNeeds, ExecSession } from "./exec-session.ts";

type PortForwardNeeds = ReadyNeeds & Pick<CriParts, "netns">;
type Needs = AttachNeeds & ExecNeeds & PortForwardNeeds & Pick<CriParts, "hooks">;

/** The sessions that are open, and what opens more. */
export interface Sessions extends SessionHost {
  /** Open sessions by kind. From memory. */
  open(): ReadonlyMap<StreamKind, number>;
  /**
   * Ends every session with a word to its client; new ones are refused. For the daemon's stop. Settles
   * when all are closed, or when one takes too long.
   */
  cutOff(): Promise<void>;
}

const cutOffMs = 1_500;

/** What stands behind exec, attach and port-forward. */
export function createSessions(parts: Needs, fifoFolder: string): Sessions {
  const stopping = new AbortController();
  const closed = Promise.withResolvers<void>();
  const closedIfNone = (): void => {
    if (stopping.signal.aborted && [...counts.values()].every((count) => count === 0)) {
      closed.resolve();
    }
  };
  const counts = new Map<StreamKind, number>();
  const track = <S extends AsyncDisposable>(kind: StreamKind, session: S): S => {
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const dispose = session[Symbol.asyncDispose].bind(session);
    let disposed: Promise<void> | undefined;
    const end = async (): Promise<void> => {
      try {
        await dispose();
      } finally {
        counts.set(kind, (counts.get(kind) ?? 1) - 1);
        parts.hooks?.onSessionEnd?.(kind);
        closedIfNone();
      }
    };
    return Object.assign(session, {
      [Symbol.asyncDispose]: () => (disposed ??= end()),
    });
  };
  const opened = <S extends AsyncDisposable>(
    kind: StreamKind,
    { signal }: Cancellable,
    make: () => S,
  ): Promise<S> =>
    Promise.resolve().then(() => {
      signal.throwIfAborted();
      if (stopping.signal.aborted) throw fault("UNAVAILABLE", "berthd is stopping");
      return track(kind, make());
    });
  return {
    exec: (target: ExecTarget, call): Promise<ProcessSession> =>
      opened("exec", call, () => new ExecSession(parts, fifoFolder, target, stopping.signal)),
    attach: (target: AttachTarget, call): Promise<ProcessSession> =>
      opened("attach", call, () => new AttachSession(parts, fifoFolder, target, stopping.signal)),
    portForward: (target: PortForwardTarget, call): Promise<PortForwardSession> =>
      opened("port_forward", call, () => portForward(parts, target)),
    open: () => counts,
    cutOff: async () => {
      stopping.abort();
      closedIfNone();
      await within(closed.promise, cutOffMs);
    },
  };
}

function portForward(
  parts: PortForwardNeeds,
  { sandboxId }: PortForwardTarget,
): PortForwardSession {
  const { id } = readySandbox(parts, sandboxId);
  return {
    // Looked up anew for each connection: the pod may have been stopped since.
    dial: async (port, call) => {
      const { record } = readySandbox(parts, id);
      const netnsPath = netnsPathOf(record);
      if (netnsPath === "" && !usesHostNetwork(record.config)) {
        throw fault("FAILED_PRECONDITION", `sandbox "${id}" has no network any more`);
      }
      return dialLoopback(parts.netns, netnsPath, port, call);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
