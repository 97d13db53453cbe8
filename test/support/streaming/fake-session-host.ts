// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync } from "node:fs";
import { Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import { errnoOf, fault } from "../../../src/base/errors.ts";
import { makeFifo, openFifoReader } from "../../../src/base/os/fifo.ts";
import { removeFolderSync } from "../../../src/base/remove-folder.ts";
import type {
  AttachTarget,
  ExecTarget,
  PortForwardSession,
  PortForwardTarget,
  ProcessSession,
  SessionEnd,
  SessionHost,
  TerminalSize,
} from "../../../src/streaming/ports.ts";

/** Runs an exec's command as a child process on FIFOs: everything real but the container. */
export class FakeSessionHost implements SessionHost {
  readonly sizes: TerminalSize[] = [];
  readonly disposed: string[] = [];
  open = 0;
  /** Answers a descriptor, or throws the reason. */
  dial: (port: number) => Promise<number> = async (port) => {
    throw fault("UNAVAILABLE", `port ${port} refuses connections`);
  };
  drainTimeoutMs = 2000;
  /** What settles before a process's stdin is opened, after its start has answered: a shim may be so late. */
  beforeStdin: Promise<void> | undefined;
  closeStdin: () => Promise<void> = async () => {};
  #idle: (() => void)[] = [];

  /** Settles when no session is open. */
  async allDisposed(): Promise<void> {
    if (this.open > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #closed(what: string): void {
    this.disposed.push(what);
    this.open -= 1;
    if (this.open > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async exec(target: ExecTarget): Promise<ProcessSession> {
    if (target.containerId === "missing") {
      throw fault("NOT_FOUND", 'container "missing" not found');
    }
    return this.#session(target, target.command);
  }

  async attach(target: AttachTarget): Promise<ProcessSession> {
    return this.#session(target, ["/bin/cat"]);
  }

  async portForward(_target: PortForwardTarget): Promise<PortForwardSession> {
    this.open += 1;
    return {
      dial: (port) => this.dial(port),
      [Symbol.asyncDispose]: async () => {
        this.#closed("port-forward");
      },
    };
  }

  #session(target: AttachTarget, command: readonly string[]): ProcessSession {
    const folder = mkdtempSync(path.join(os.tmpdir(), "berth stream-"));
    const fifo = (name: string, wanted: boolean): string => {
      if (!wanted) return "";
      makeFifo(path.join(folder, name));
      return path.join(folder, name);
    };
    const fifos = {
      stdin: fifo("in", target.stdin),
      stdout: fifo("out", true),
      stderr: fifo("err", !target.tty),
    };
    const ended = Promise.withResolvers<SessionEnd>();
    let child: ChildProcess | undefined;
    this.open += 1;
    return {
      fifos,
      drainTimeoutMs: this.drainTimeoutMs,
      ended: ended.promise,
      start: async () => {
        const stdio = [
          this.beforeStdin ? "pipe" : openBlocking(fifos.stdin || "/dev/null", "r"),
          openBlocking(fifos.stdout, "w"),
          openBlocking(fifos.stderr || "/dev/null", "w"),
        ] as const;
        try {
          const [program = "", ...args] = command;
          child = spawn(program, args, { stdio: [...stdio], detached: true });
          await new Promise((resolve, reject) => {
            child?.once("spawn", resolve);
            child?.once("error", reject);
          });
        } catch (error) {
          throw fault("UNKNOWN", `cannot start "${command[0] ?? ""}": no such file`, {
            cause: error,
          });
        } finally {
          for (const fd of stdio) if (typeof fd === "number") closeSync(fd);
        }
        const started = child;
        void this.beforeStdin?.then(() => {
          const late = new Socket({ fd: openFifoReader(fifos.stdin), writable: false });
          if (started.stdin) late.pipe(started.stdin);
        });
        started.once("exit", (code, signal) => {
          const exitCode = code ?? 128 + (os.constants.signals[signal ?? "SIGKILL"] ?? 9);
          ended.resolve({ kind: "exited", exitCode });
        });
      },
      resize: async (size) => {
        this.sizes.push(size);
      },
      closeStdin: () => this.closeStdin(),
      [Symbol.asyncDispose]: async () => {
        if (child?.pid !== undefined) killGroup(child.pid);
        removeFolderSync(folder);
        this.#closed(command.join(" "));
      },
    };
  }
}

/** The process, if it still runs, and what it has left in the background. */
function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}

/**
 * The worker holds the other end, unless its client has left meanwhile: then the open would wait for
 * good, with everything else here.
 */
function openBlocking(file: string, mode: "r" | "w"): number {
  const partner = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    return openSync(file, mode === "r" ? constants.O_RDONLY : constants.O_WRONLY);
  } finally {
    closeSync(partner);
  }
}
