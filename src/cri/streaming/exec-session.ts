// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
import { DetachedIo } from "../../client/io/detached-io.ts";
import type { ExitStatus, Process } from "../../client/ports.ts";
import type {
  ExecTarget,
  ProcessSession,
  SessionEnd,
  TerminalSize,
} from "../../streaming/ports.ts";
import { deleteExec, type EndExecNeeds, killExec } from "../container/end-exec.ts";
import {
  newExecId,
  type ProcessNeeds,
  processOf,
  type RunningContainer,
  type RunningNeeds,
  runningContainer,
} from "../container/exec-target.ts";
import type { CriParts } from "../parts.ts";
import { cutAtStop } from "./cut-at-stop.ts";
import { SessionFifoFolder } from "./session-fifos.ts";

export type ExecNeeds = RunningNeeds &
  ProcessNeeds &
  EndExecNeeds &
  Pick<CriParts, "config" | "lifetime">;

/**
 * One exec for one client:
 *
 *     created ──▶ started ──▶ exited
 *        └───────────┴──────────┴────▶ disposed: killed if it still runs, deleted, FIFOs removed
 *
 * The exec is made at `start`, not before: a shim opens the FIFOs' other ends then.
 */
export class ExecSession implements ProcessSession {
  readonly fifos: SessionFifoFolder;
  readonly drainTimeoutMs: number;
  readonly ended: Promise<SessionEnd>;
  readonly #parts: ExecNeeds;
  readonly #target: ExecTarget;
  readonly #container: RunningContainer;
  readonly #execId: string;
  readonly #end = Promise.withResolvers<SessionEnd>();
  #process: Process | undefined;
  #exited: Promise<ExitStatus> | undefined;
  #hasExited = false;
  /** Settles when `start` has come to its end, well or not. */
  #starting: Promise<void> = Promise.resolve();

  /** FAILED_PRECONDITION unless the container runs. */
  constructor(parts: ExecNeeds, folder: string, target: ExecTarget, stopping: AbortSignal) {
    this.#parts = parts;
    this.#target = target;
    this.#container = runningContainer(parts, target.containerId, "exec in");
    this.#execId = newExecId(this.#container.id);
    this.drainTimeoutMs = parts.config.cri.execSyncDrainTimeoutMs;
    this.ended = this.#end.promise;
    // Without a terminal a shim wants both output streams or none.
    const { stdin, tty } = target;
    this.fifos = new SessionFifoFolder(folder, this.#execId, {
      stdin,
      stdout: true,
      stderr: !tty,
    });
    cutAtStop(stopping, this.#end);
  }

  /** NOT_FOUND for a command that is not there; otherwise what the runtime says, in its words. */
  start(call: Cancellable, size?: TerminalSize): Promise<void> {
    const started = this.#start(call, size);
    this.#starting = started.catch(() => {});
    return started;
  }

  async #start(call: Cancellable, size: TerminalSize | undefined): Promise<void> {
    const { id, task } = this.#container;
    const { command, tty } = this.#target;
    const { stdin, stdout, stderr } = this.fifos;
    const spec = await processOf(this.#parts, id, call);
    const ownSpec = {
      ...spec,
      args: command,
      terminal: tty,
      ...(tty ? terminalParts(spec.env, size) : {}),
    };
    const io = new DetachedIo({ stdin, stdout, stderr, terminal: tty });
    // Not cut off when the client leaves: a shim that adds it all the same would keep it for ever.
    const own = { signal: this.#parts.lifetime };
    const process = await task.exec(this.#execId, ownSpec, () => Promise.resolve(io), own);
    this.#process = process;
    call.signal.throwIfAborted();
    const exit = await process.wait({ signal: this.#parts.lifetime });
    this.#exited = exit.status;
    try {
      await process.start(call);
    } catch (error) {
      throw clearer(error, command[0] ?? "");
    }
    // Not every OCI runtime heeds consoleSize: crun 1.8 does not. It may have ended already.
    if (tty && size) await process.resize(size.width, size.height, call).catch(() => {});
    void exit.status.then((status) => {
      this.#hasExited = status.error === undefined;
      this.#end.resolve(endOf(status));
    });
  }

  async resize({ width, height }: TerminalSize, call: Cancellable): Promise<void> {
    await this.#process?.resize(width, height, call);
  }

  async closeStdin(call: Cancellable): Promise<void> {
    await this.#starting; // input may be at its end before the process is there
    if (this.#hasExited) return;
    await this.#process?.closeStdin(call);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.resolve({ kind: "failed", message: "the session is closed" });
    await this.#starting;
    const process = this.#process;
    if (process) {
      if (!this.#hasExited) {
        await killExec(this.#parts, process, this.#exited ?? Promise.resolve());
      }
      await deleteExec(this.#parts, process);
    }
    this.fifos[Symbol.dispose]();
  }
}

function endOf({ exitCode, error }: ExitStatus): SessionEnd {
  if (!error) return { kind: "exited", exitCode };
  return {
    kind: "failed",
    message: `the exit of the command could not be learnt: ${error.message}`,
  };
}

/** A terminal without TERM is of no use to most programs; the image's or pod's own wins. */
function terminalParts(
  env: readonly string[],
  size: TerminalSize | undefined,
): { env: string[]; consoleSize?: TerminalSize } {
  const has = env.some((entry) => entry.startsWith("TERM="));
  return {
    env: has ? [...env] : [...env, "TERM=xterm"],
    ...(size ? { consoleSize: size } : {}),
  };
}

/** A runtime wraps the reason in the names of its own stages; who typed the command wants the reason. */
function clearer(error: unknown, program: string): unknown {
  if (!isFault(error)) return error;
  // crun names the program in the middle, and has the system's own, capital letters.
  const words = error.message.replace(/executable file `[^`]*` not/, "executable file not");
  const absent = /executable file not found in \$PATH|no such file or directory/i.exec(words);
  const cause = { cause: error };
  if (absent) return fault("NOT_FOUND", `cannot exec "${program}": ${lower(absent[0])}`, cause);
  const refused = /permission denied|exec format error|is a directory/i.exec(words);
  if (!refused) return error;
  return fault("FAILED_PRECONDITION", `cannot exec "${program}": ${lower(refused[0])}`, cause);
}

function lower(words: string): string {
  return words.slice(0, 1).toLowerCase() + words.slice(1);
}
