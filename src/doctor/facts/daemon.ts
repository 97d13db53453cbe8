// SPDX-License-Identifier: Apache-2.0
import { deadline } from "../../base/deadline.ts";
import { errnoOf, toFault } from "../../base/errors.ts";
import { type Listener, listenerOf } from "../../base/os/unix-peer.ts";
import { settlesWithin } from "../../base/waits.ts";
import { connectLight } from "../../rpc/light/light-client.ts";

/** A daemon that has more to do than answer this is as good as one that hangs. */
const answerMs = 5_000;

/** What the daemon says of itself. */
export interface DaemonFacts {
  /**
   * `down`: nobody listens. `hung`: somebody does and does not answer. `other`: it is no berthd. `closed`: the socket is
   * not for us.
   */
  readonly state: "up" | "down" | "hung" | "other" | "closed";
  /** Why it is not up. */
  readonly reason: string;
  readonly pid: number | undefined;
  /** "" unless it is up. */
  readonly version: string;
  readonly conditions: readonly Condition[];
  /** The parts of verbose Status, each as JSON. */
  readonly info: Readonly<Record<string, string>>;
}

interface Condition {
  readonly type: string;
  readonly status: boolean;
  readonly reason: string;
  readonly message: string;
}

/** Asks the daemon at a socket. Never rejects. */
export async function askDaemon(socket: string): Promise<DaemonFacts> {
  const nothing = { pid: undefined, version: "", conditions: [], info: {} };
  let listener: Listener | undefined;
  try {
    listener = listenerOf(socket);
  } catch (error) {
    const state = errnoOf(error) === "EACCES" || errnoOf(error) === "EPERM" ? "closed" : "down";
    return { ...nothing, state, reason: toFault(error).message };
  }
  if (listener === undefined) return { ...nothing, state: "down", reason: "nobody listens there" };
  const pid = listener.process?.pid;
  using connection = connectLight(socket);
  using limit = deadline(answerMs, "its answer");
  const runtime = connection.client("runtime.v1.RuntimeService");
  const asking = Promise.all([
    runtime.Version({ version: "v1" }, limit),
    runtime.Status({ verbose: true }, limit),
  ]);
  try {
    if (!(await settlesWithin(asking, answerMs + 1000))) limit.signal.throwIfAborted();
    const [version, status] = await asking;
    const told = { pid, version: version.runtimeVersion, info: status.info };
    const conditions = status.status?.conditions ?? [];
    if (version.runtimeName === "berth") return { ...told, state: "up", reason: "", conditions };
    const reason = `${version.runtimeName} ${version.runtimeVersion} answers there`;
    return { ...told, state: "other", reason, conditions };
  } catch (error) {
    const { code, message } = toFault(error);
    return { ...nothing, pid, state: code === "UNAVAILABLE" ? "down" : "hung", reason: message };
  }
}
