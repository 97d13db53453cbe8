// SPDX-License-Identifier: Apache-2.0

import { statSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { oomScoreOf, raiseOomScore } from "../../base/os/oom-score.ts";
import { identify, killProcess, type ProcessIdentity, waitUntilGone } from "../../base/os/proc.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { sleep, timeoutSignal } from "../../base/timers.ts";
import type { ServiceClient } from "../../rpc/service.ts";
import { TtrpcClient } from "../../ttrpc/client.ts";
import { ttrpcServiceClient } from "../../ttrpc/service-client.ts";
import type { ShimFacts } from "../ports.ts";
import type { ShimBinary } from "./binary.ts";
import { type Bootstrap, socketPathOf } from "./bootstrap-answer.ts";
import { inTurns } from "./turns.ts";

/**
 * Measured with containerd's shim 1.6.20: ten execs that start at once take half a second, twenty 4 s,
 * thirty 15 s, and fifty never come to an end.
 */
const execStartsAtOnce = 8;

export type TaskApi = ServiceClient<"containerd.task.v3.Task">;

export interface ShimConnectRequest {
  readonly binary: ShimBinary;
  readonly bootstrap: Bootstrap;
  readonly namespace: string;
  /** Any task id of it: Connect wants one. */
  readonly id: string;
  /** How often a refused connection is tried again; a shim just started may not listen yet. */
  readonly attempts: number;
  readonly log: Logger;
}

/** A task as its shim knows it. */
export interface Tenant {
  readonly id: string;
  /** False once its init is dead, whatever the shim has told of that. */
  readonly mayLive: boolean;
}

/** What connecting finds out. */
interface FoundShim {
  readonly api: TaskApi;
  readonly apiVersion: number;
  readonly pid: number;
}

/**
 * One live shim process and the one connection to it that all its tasks share.
 *
 *     open ──last task released──▶ closing ──process gone──▶ gone
 *       └────────connection lost (the shim died)──────────────▲
 */
export class Shim implements ShimFacts {
  readonly binary: ShimBinary;
  readonly bootstrap: Bootstrap;
  readonly namespace: string;
  readonly api: TaskApi;
  readonly pid: number;
  readonly apiVersion: number;
  readonly address: string;
  /** A place for each exec that the shim is starting. */
  readonly execStarts = new Semaphore(execStartsAtOnce);
  /** Settles when the connection is lost, by our doing or not. */
  readonly closed: Promise<void>;
  readonly #client: TtrpcClient;
  /** undefined when it was gone already. */
  readonly process: ProcessIdentity | undefined;
  readonly #log: Logger;
  readonly #socketInode: number | undefined;
  /** By task id; of one that is being made there is no more than its id, nor of a sandbox that is no task of it. */
  readonly #users = new Map<string, Tenant | undefined>();
  #pump: Disposable | undefined;
  #ending: Promise<void> | undefined;

  constructor(request: ShimConnectRequest, client: TtrpcClient, found: FoundShim) {
    this.binary = request.binary;
    this.bootstrap = request.bootstrap;
    this.namespace = request.namespace;
    this.address = request.bootstrap.address;
    this.pid = found.pid;
    this.apiVersion = found.apiVersion;
    this.api = inTurns(found.api);
    this.closed = client.closed;
    this.#client = client;
    this.process = identify(found.pid);
    this.#log = request.log;
    this.#socketInode = inodeOf(this.#socketPath);
  }

  get isOpen(): boolean {
    return this.#ending === undefined && !this.#client.isClosed;
  }

  /** True from the moment we decided to end it. */
  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  /** Settles when the process of an ended or dead shim is gone (or was given up on). */
  get gone(): Promise<void> {
    return this.#ending ?? this.closed;
  }

  /** Counts a task in, before it is created; false when the shim takes no more. */
  hold(taskId: string): boolean {
    if (!this.isOpen) return false;
    this.#users.set(taskId, undefined);
    return true;
  }

  /** One that was counted in has been made. */
  serve(task: Tenant): void {
    if (this.#users.has(task.id)) this.#users.set(task.id, task);
  }

  /** True while this task alone keeps the shim. */
  isLast(taskId: string): boolean {
    return this.#users.size === 1 && this.#users.has(taskId);
  }

  /** True while it has another task than this that lives, or is being made. A sandbox that is no task of it holds it, and needs it not. */
  isNeededBeside({ id: taskId, sandboxId }: { id: string; sandboxId: string }): boolean {
    return [...this.#users].some(
      ([id, task]) => id !== taskId && (task === undefined ? id !== sandboxId : task.mayLive),
    );
  }

  /** Counts a task out; true when it was the last one. */
  release(taskId: string): boolean {
    this.#users.delete(taskId);
    return this.#users.size === 0;
  }

  /** Hands over the pump of its log, disposed with it. A second one has nothing to read: it is closed. */
  adoptLog(pump: Disposable): void {
    if (this.#pump === undefined && this.isOpen) this.#pump = pump;
    else pump[Symbol.dispose]();
  }

  /** SIGKILL for a process that does not answer; what follows is as when it dies by itself. */
  killSilent(): void {
    if (this.process !== undefined) killProcess(this.process, "SIGKILL");
  }

  /** Drops the connection and leaves the process alone: for the daemon's own end. */
  disconnect(): void {
    this.#ending ??= Promise.resolve();
    this.#client.close();
    this.#pump?.[Symbol.dispose]();
  }

  /**
   * Ends a shim without tasks: asks it to shut down, waits for the process, kills it at the deadline,
   * unlinks its socket. Also right for a dead one. Never rejects; calling it again joins the first.
   */
  end(options: { readonly taskId: string; readonly timeoutMs: number }): Promise<void> {
    this.#ending ??= this.#end(options);
    return this.#ending;
  }

  get #socketPath(): string {
    return socketPathOf(this.address);
  }

  async #end({ taskId, timeoutMs }: { taskId: string; timeoutMs: number }): Promise<void> {
    const deadline = timeoutSignal(timeoutMs);
    if (!this.#client.isClosed) {
      try {
        await this.api.Shutdown({ id: taskId, now: false }, { signal: deadline });
      } catch (err) {
        // A shim that closes the connection instead of answering has done what was asked.
        if (!isFault(err, "UNAVAILABLE"))
          this.#log.debug({ err }, "shim shutdown was not answered");
      }
    }
    if (this.process !== undefined && !(await waitUntilGone(this.process, deadline))) {
      this.#log.warn({ shim: this.pid }, "shim does not end, killing it");
      killProcess(this.process, "SIGKILL");
      await waitUntilGone(this.process, timeoutSignal(timeoutMs));
    }
    this.#client.close();
    // Another shim of the same group may have bound the path by now: its socket is not ours to remove.
    if (inodeOf(this.#socketPath) === this.#socketInode)
      await rm(this.#socketPath, { force: true });
    this.#pump?.[Symbol.dispose]();
  }
}

/**
 * Connects to a shim and finds out which version of the task API it really speaks: the one it
 * announced is wrong when an older process answered for a newer binary, so UNIMPLEMENTED means the
 * other. Errors: UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED, and the shim's own.
 */
export async function connectShim(request: ShimConnectRequest, call: Cancellable): Promise<Shim> {
  const client = await dial(socketPathOf(request.bootstrap.address), request.attempts, call);
  try {
    const announced = request.bootstrap.version >= 3 ? 3 : 2;
    for (const apiVersion of [announced, announced === 3 ? 2 : 3]) {
      const wireName = `containerd.task.v${apiVersion}.Task`;
      const api = ttrpcServiceClient(client, "containerd.task.v3.Task", wireName);
      try {
        const { shimPid } = await api.Connect(
          { id: request.id },
          { ...call, namespace: request.namespace },
        );
        if (shimPid > 0) raiseOomScore(shimPid, Math.min(oomScoreOf("self") + 1, 1000));
        return new Shim(request, client, { api, apiVersion, pid: shimPid });
      } catch (error) {
        if (!isFault(error, "UNIMPLEMENTED") || apiVersion !== announced) throw error;
      }
    }
    throw new Error("unreachable: the second version either answers or throws");
  } catch (error) {
    client.close();
    throw error;
  }
}

async function dial(path: string, attempts: number, call: Cancellable): Promise<TtrpcClient> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await TtrpcClient.connect(path, call);
    } catch (error) {
      if (attempt >= attempts || !isFault(error, "UNAVAILABLE")) throw error;
      await sleep(20 * attempt, { signal: call.signal });
    }
  }
}

function inodeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.ino;
}
