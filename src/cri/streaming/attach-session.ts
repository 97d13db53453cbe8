// SPDX-License-Identifier: Apache-2.0

import { randomBytes } from "node:crypto";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
import { timeoutSignal } from "../../base/timers.ts";
import { within } from "../../base/waits.ts";
import type { ContainerLog, LogTap } from "../../logs/ports.ts";
import type {
  AttachTarget,
  ProcessSession,
  SessionEnd,
  SessionFifos,
  TerminalSize,
} from "../../streaming/ports.ts";
import {
  type RunningContainer,
  type RunningNeeds,
  runningContainer,
} from "../container/exec-target.ts";
import type { LiveContainer } from "../live/live-container.ts";
import type { CriParts } from "../parts.ts";
import { cutAtStop } from "./cut-at-stop.ts";
import { SessionFifoFolder } from "./session-fifos.ts";

/** How long the exit waits for the tap's end, which the output's end brings. */
const tapEndMs = 2_000;
/** How long the output's end waits for the exit, which it mostly comes with. */
const exitAfterOutputMs = 1_000;

export type AttachNeeds = RunningNeeds & Pick<CriParts, "config" | "liveContainers">;

/**
 * One client at a container's own process. Output comes through FIFOs of the session's own, which
 * the log's tap fills; input goes into the container's. Leaving it leaves the container alone, but
 * for `stdin_once`: the first client's input is the only one, and its end the container's.
 */
export class AttachSession implements ProcessSession {
  readonly fifos: SessionFifos;
  readonly drainTimeoutMs: number;
  readonly ended: Promise<SessionEnd>;
  readonly #container: RunningContainer;
  readonly #live: LiveContainer;
  readonly #log: ContainerLog;
  readonly #own: SessionFifoFolder;
  readonly #end = Promise.withResolvers<SessionEnd>();
  readonly #ownsStdin: boolean;
  readonly #stopping: AbortSignal;
  #tap: LogTap | undefined;
  #started = false;

  /** FAILED_PRECONDITION unless the container runs. */
  constructor(parts: AttachNeeds, folder: string, target: AttachTarget, stopping: AbortSignal) {
    this.#container = runningContainer(parts, target.containerId, "attach to");
    const { id, record } = this.#container;
    this.#live = parts.liveContainers.of(id);
    const { log } = this.#live;
    if (!log) throw fault("UNAVAILABLE", `the output of container "${id}" was not recovered`);
    this.#log = log;
    this.#stopping = stopping;
    this.ended = this.#end.promise;
    this.drainTimeoutMs = parts.config.cri.execSyncDrainTimeoutMs;
    this.#own = new SessionFifoFolder(folder, `attach-${randomBytes(5).toString("hex")}`, {
      stdin: false,
      stdout: target.stdout,
      stderr: target.stderr && log.config.stderr !== "",
    });
    const { stdin, stdinOnce, tty } = record.config;
    const once = stdinOnce && !tty; // a terminal is left and come back to
    const wanted = target.stdin && stdin && (!once || this.#live.takeStdin());
    this.#ownsStdin = wanted && once;
    this.fifos = {
      stdin: wanted ? log.config.stdin : "",
      stdout: this.#own.stdout,
      stderr: this.#own.stderr,
    };
    cutAtStop(stopping, this.#end);
  }

  async start(call: Cancellable): Promise<void> {
    const { stdout, stderr } = this.#own;
    if (stdout !== "" || stderr !== "") {
      this.#tap = await this.#log.tap({ stdout, stderr }, call);
      void this.#untilTapEnds(this.#tap);
    }
    this.#started = true;
    void this.#untilContainerEnds(this.#tap);
  }

  async resize({ width, height }: TerminalSize, call: Cancellable): Promise<void> {
    await this.#container.task.resize(width, height, call);
  }

  async closeStdin(call: Cancellable): Promise<void> {
    if (!this.#ownsStdin || this.#live.hasExited) return;
    try {
      await this.#container.task.closeStdin(call); // and with it the log's end, which is the task's io
    } catch (error) {
      if (!isFault(error, "NOT_FOUND", "FAILED_PRECONDITION")) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.resolve({ kind: "failed", message: "the session is closed" });
    await this.#tap?.[Symbol.asyncDispose]();
    this.#own[Symbol.dispose]();
    // A client that left without a word has ended its input too; one that we cut off, or that never had
    // it, may come back.
    if (this.#stopping.aborted || !this.#started) {
      if (this.#ownsStdin) this.#live.giveBackStdin();
      return;
    }
    await this.closeStdin({ signal: timeoutSignal(tapEndMs) });
  }

  async #untilTapEnds(tap: LogTap): Promise<void> {
    const why = await tap.ended;
    // Most output ends because the container does: whoever asks for its status next shall see that.
    if (why === "end" && this.#live.exited) await within(this.#live.exited, exitAfterOutputMs);
    this.#end.resolve(endOfTap[why]);
  }

  async #untilContainerEnds(tap: LogTap | undefined): Promise<void> {
    await this.#live.exited;
    if (tap) await within(tap.ended, tapEndMs);
    this.#end.resolve(ended);
  }
}

/** The container's exit code is in its status; an attach is no command of the client's. */
const ended: SessionEnd = { kind: "exited", exitCode: 0 };

const endOfTap: Readonly<Record<Awaited<LogTap["ended"]>, SessionEnd>> = {
  end: ended,
  gone: { kind: "failed", message: "the session is closed" },
  slow: {
    kind: "failed",
    message: "the client reads too slowly: it is more than 4 MiB behind the container's output",
  },
  lost: {
    kind: "failed",
    message: "the reader of the container's output was started anew: attach again",
  },
};
