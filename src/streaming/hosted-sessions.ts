// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { fault, toFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { Answer, OpenedProcess, SessionCall, SessionTarget } from "./messages.ts";
import type { PortForwardSession, ProcessSession, SessionEnd, SessionHost } from "./ports.ts";

interface Hosted {
  readonly target: SessionTarget;
  readonly controller: AbortController;
  readonly opened: Promise<ProcessSession | PortForwardSession>;
  readonly since: number;
}

export interface HostedSessionsOptions {
  readonly host: SessionHost;
  readonly log: Logger;
  readonly onEnded: (session: number, end: SessionEnd) => void;
}

/** What the host opened for the worker's sessions. Each of them is disposed once. */
export class HostedSessions implements AsyncDisposable {
  readonly #options: HostedSessionsOptions;
  readonly #hosted = new Map<number, Hosted>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: HostedSessionsOptions) {
    this.#options = options;
  }

  /** Never rejects: a failure is an answer. */
  async call(session: number, call: SessionCall): Promise<Answer> {
    try {
      return { ok: true, value: await this.#carryOut(session, call) };
    } catch (error) {
      const { code, message } = toFault(error);
      if (call.verb === "resize" || call.verb === "closeStdin") {
        this.#options.log.debug({ err: error, verb: call.verb }, "streaming call failed");
      }
      return { ok: false, fault: { code, message } };
    }
  }

  /** The worker is done with a session. */
  gone(session: number): void {
    const hosted = this.#hosted.get(session);
    if (hosted === undefined) return;
    this.#hosted.delete(session);
    const closing = this.#close(hosted).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** The worker is gone, and all its sessions with it. Settles when everything is disposed. */
  async allGone(): Promise<void> {
    for (const session of this.#hosted.keys()) this.gone(session);
    await Promise.all(this.#closing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.allGone();
  }

  async #carryOut(session: number, call: SessionCall): Promise<unknown> {
    if (call.verb === "open") return this.#open(session, call.target);
    const hosted = this.#hosted.get(session);
    if (hosted === undefined) throw fault("CANCELLED", "streaming session is over");
    const { signal } = hosted.controller;
    const opened = await hosted.opened;
    if (call.verb === "dial") {
      const fd = await (opened as PortForwardSession).dial(call.port, { signal });
      if (this.#hosted.get(session) === hosted) return fd;
      fs.closeSync(fd);
      throw fault("CANCELLED", "streaming session is over");
    }
    const process = opened as ProcessSession;
    switch (call.verb) {
      case "start":
        return process.start({ signal }, call.size);
      case "resize":
        return process.resize(call.size, { signal });
      case "closeStdin":
        return process.closeStdin({ signal });
    }
  }

  async #open(session: number, target: SessionTarget): Promise<OpenedProcess | undefined> {
    const controller = new AbortController();
    const opened = this.#ask(target, controller.signal);
    const hosted: Hosted = { target, controller, opened, since: performance.now() };
    this.#hosted.set(session, hosted);
    const got = await opened;
    if (!("fifos" in got)) return undefined;
    void got.ended.then((end) => {
      // A later worker uses the same numbers again.
      if (this.#hosted.get(session) === hosted) this.#options.onEnded(session, end);
    }); // does not reject
    return { fifos: got.fifos, drainTimeoutMs: got.drainTimeoutMs };
  }

  async #ask(
    target: SessionTarget,
    signal: AbortSignal,
  ): Promise<ProcessSession | PortForwardSession> {
    const { host } = this.#options;
    switch (target.kind) {
      case "exec":
        return host.exec(target, { signal });
      case "attach":
        return host.attach(target, { signal });
      case "port-forward":
        return host.portForward(target, { signal });
    }
  }

  async #close({ target, controller, opened, since }: Hosted): Promise<void> {
    const { log } = this.#options;
    const fields = {
      kind: target.kind,
      ...(target.kind === "port-forward"
        ? { sandbox: target.sandboxId }
        : { container: target.containerId }),
    };
    controller.abort(fault("CANCELLED", "streaming client is gone"));
    try {
      const session = await opened.catch(() => undefined); // its client was sent the error
      await session?.[Symbol.asyncDispose]();
      const durationMs = Math.round(performance.now() - since);
      log.info({ ...fields, durationMs }, "streaming session ended");
    } catch (err) {
      log.warn({ ...fields, err }, "streaming session not cleaned up");
    }
  }
}
