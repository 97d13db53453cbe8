// SPDX-License-Identifier: Apache-2.0

import { closeSync, openSync } from "node:fs";
import path from "node:path";
import { errnoOf, type FaultCode, RuntimeFault, toFault } from "./errors.ts";
import { findProgram, startChild } from "./os/child.ts";
import { identify, killProcess } from "./os/proc.ts";
import { type Ending, reap } from "./os/reaper.ts";
import { spawnProcess } from "./os/spawn.ts";
import { timeoutSignal } from "./timers.ts";

const defaultMaxOutputBytes = 4 * 1024 * 1024;
const stderrTailBytes = 4096;
const newline = 10;

export interface RunOptions {
  readonly input?: Uint8Array | string;
  /** The whole environment of the child; the daemon's own when left out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Working directory; "/" when left out, never the daemon's own. */
  readonly cwd?: string;
  /** Aborting kills the child and all it started in its session with SIGKILL. */
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** Bytes kept of each stream; more than that kills the child and fails. Default 4 MiB. */
  readonly maxOutputBytes?: number;
  /** Sends stderr into the stdout buffer, in the order written. */
  readonly mergeStderr?: boolean;
  /** Resolve whatever the exit code is; otherwise anything but 0 is a ProcessFault. */
  readonly anyExitCode?: boolean;
}

export interface RunResult {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly exitCode: number;
}

export interface ProcessFaultFacts {
  readonly argv: readonly string[];
  /** undefined when the program never started or died of a signal. */
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly stdout?: Buffer | undefined;
  readonly stderrTail?: string | undefined;
}

/** A program that could not start, was killed, or answered a bad exit code. */
export class ProcessFault extends RuntimeFault {
  override readonly name = "ProcessFault";
  readonly argv: readonly string[];
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** What it wrote before; CNI plugins put their error object here. */
  readonly stdout: Buffer;
  /** The last 4 KiB of stderr, trimmed. */
  readonly stderrTail: string;

  constructor(code: FaultCode, message: string, facts: ProcessFaultFacts, cause?: unknown) {
    super(code, message, { cause, details: { argv: facts.argv } });
    this.argv = facts.argv;
    this.exitCode = facts.exitCode;
    this.signal = facts.signal;
    this.stdout = facts.stdout ?? Buffer.alloc(0);
    this.stderrTail = facts.stderrTail ?? "";
  }
}

/**
 * Runs a program to its end and answers what it wrote. `file` is a path, or a name looked up in the
 * child's PATH. Only descriptors 0 to 2 reach it. Errors: NOT_FOUND (no such program),
 * PERMISSION_DENIED, DEADLINE_EXCEEDED, CANCELLED, RESOURCE_EXHAUSTED (too much output),
 * UNKNOWN (exit code or signal), all as ProcessFault.
 */
export async function run(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const argv = [file, ...args];
  const limit = endSignal(options);
  if (hasEnded(limit)) throw aborted(argv, limit);
  const maxBytes = options.maxOutputBytes ?? defaultMaxOutputBytes;
  const stdout = new Capture(maxBytes);
  const stderr = new Capture(maxBytes);
  const feed = (capture: Capture) => (chunk: Buffer) => {
    capture.add(chunk);
    if (capture.overflowed) kill();
  };
  const child = start(argv, () =>
    startChild({
      file,
      args,
      env: childEnvironment(options.env),
      cwd: options.cwd ?? "/",
      input: Buffer.from(options.input ?? ""),
      mergeStderr: options.mergeStderr === true,
      onStdout: feed(stdout),
      onStderr: feed(stderr),
    }),
  );
  const kill = (): void => child.kill();
  limit?.addEventListener("abort", kill);
  try {
    const { exitCode, signal } = await child.ended;
    const facts = { argv, exitCode, signal, stdout: stdout.bytes(), stderrTail: stderr.tail() };
    if (stdout.overflowed || stderr.overflowed) {
      throw new ProcessFault(
        "RESOURCE_EXHAUSTED",
        `${nameOf(file)} wrote more than ${maxBytes} bytes`,
        facts,
      );
    }
    if (hasEnded(limit) && signal !== undefined) throw aborted(argv, limit, facts);
    if (exitCode === undefined || (exitCode !== 0 && options.anyExitCode !== true)) {
      throw new ProcessFault("UNKNOWN", describe(file, facts), facts);
    }
    return { stdout: stdout.bytes(), stderr: stderr.bytes(), exitCode };
  } finally {
    limit?.removeEventListener("abort", kill);
  }
}

/** A program that answers each line it reads with a line. Disposing kills it. */
export interface Conversation extends Disposable {
  /**
   * Sends a line and answers what comes back; one at a time. Rejects once the program is gone, with a
   * ProcessFault as `run` does; an abort kills it.
   */
  ask(line: string, call: { readonly signal: AbortSignal }): Promise<string>;
}

/** Starts a program to talk to. `maxOutputBytes` is for one answer. */
export function converse(
  file: string,
  args: readonly string[],
  options: Pick<RunOptions, "env" | "maxOutputBytes"> = {},
): Conversation {
  const argv = [file, ...args];
  const stderr = new Capture(defaultMaxOutputBytes);
  let answer = new Capture(options.maxOutputBytes ?? defaultMaxOutputBytes);
  let asked: PromiseWithResolvers<string> | undefined;
  const child = start(argv, () =>
    startChild({
      file,
      args,
      env: childEnvironment(options.env),
      cwd: "/",
      input: "open",
      mergeStderr: false,
      onStdout: (chunk) => {
        answer.add(chunk);
        if (answer.overflowed) child.kill();
        else if (chunk.at(-1) === newline) {
          asked?.resolve(answer.bytes().subarray(0, -1).toString("utf8"));
          answer = new Capture(options.maxOutputBytes ?? defaultMaxOutputBytes);
        }
      },
      onStderr: (chunk) => stderr.add(chunk),
    }),
  );
  const failure = child.ended.then(({ exitCode, signal }) => {
    const facts = { argv, exitCode, signal, stderrTail: stderr.tail() };
    return new ProcessFault("UNKNOWN", describe(file, facts), facts);
  });
  return {
    ask: async (line, { signal }) => {
      const kill = (): void => child.kill();
      if (signal.aborted) kill();
      signal.addEventListener("abort", kill, { once: true });
      const own = Promise.withResolvers<string>();
      asked = own;
      child.write(`${line}\n`);
      try {
        // The end of the program comes after its last words.
        return await Promise.race([own.promise, failure.then((error) => Promise.reject(error))]);
      } catch (error) {
        throw hasEnded(signal) ? aborted(argv, signal) : error;
      } finally {
        signal.removeEventListener("abort", kill);
      }
    },
    [Symbol.dispose]: () => child.kill(),
  };
}

/** A program that runs on beside us; `exited` settles when it is gone. */
export interface RunningProcess {
  readonly pid: number;
  readonly exited: Promise<Ending>;
  kill(signal: NodeJS.Signals): void;
}

export interface DetachedOptions extends Pick<RunOptions, "env" | "cwd"> {
  /** A descriptor that becomes the program's 3, a listening socket for example. It stays ours, too. */
  readonly listener?: number;
}

/** Starts a program in a session of its own, without streams, that outlives the daemon. */
export function spawnDetached(
  file: string,
  args: readonly string[],
  options: DetachedOptions = {},
): RunningProcess {
  const argv = [file, ...args];
  const env = childEnvironment(options.env);
  const nothing = openSync("/dev/null", "r+");
  const more = options.listener === undefined ? [] : [options.listener];
  try {
    const pid = start(argv, () =>
      spawnProcess({
        path: findProgram(file, env),
        argv,
        env,
        cwd: options.cwd ?? "/",
        stdio: [nothing, nothing, nothing, ...more],
      }),
    );
    const identity = identify(pid);
    const kill = (signal: NodeJS.Signals): void => {
      if (identity !== undefined) killProcess(identity, signal);
    };
    return { pid, exited: reap(pid, { keepsAlive: false }), kill };
  } finally {
    closeSync(nothing);
  }
}

/** The absolute folders of the daemon's PATH, in order. */
export function searchPath(): readonly string[] {
  return (childEnvironment(undefined)["PATH"] ?? "")
    .split(":")
    .filter((dir) => path.isAbsolute(dir));
}

/** The environment that children get when the caller names none: the daemon's own. */
export function childEnvironment(
  env: Readonly<Record<string, string | undefined>> | undefined,
): Record<string, string | undefined> {
  if (env !== undefined) return { ...env };
  // oxlint-disable-next-line node/no-process-env -- the one module that hands the environment on
  return { ...process.env };
}

function start<T>(argv: readonly string[], launch: () => T): T {
  try {
    return launch();
  } catch (error) {
    throw notStarted(argv, error);
  }
}

function notStarted(argv: readonly string[], error: unknown): ProcessFault {
  const errno = errnoOf(error);
  const code =
    errno === "ENOENT" ? "NOT_FOUND" : errno === "EACCES" ? "PERMISSION_DENIED" : "UNKNOWN";
  return new ProcessFault(
    code,
    `cannot run "${argv[0]}": ${errno ?? String(error)}`,
    { argv },
    error,
  );
}

function endSignal(options: RunOptions): AbortSignal | undefined {
  const timeout = options.timeoutMs === undefined ? undefined : timeoutSignal(options.timeoutMs);
  if (timeout === undefined || options.signal === undefined) return timeout ?? options.signal;
  return AbortSignal.any([timeout, options.signal]);
}

// A function, not `limit.aborted`: the compiler would remember the first answer.
function hasEnded(limit: AbortSignal | undefined): boolean {
  return limit?.aborted === true;
}

function aborted(
  argv: readonly string[],
  signal: AbortSignal | undefined,
  facts?: ProcessFaultFacts,
): ProcessFault {
  const cause = toFault(signal?.reason);
  const code = cause.code === "DEADLINE_EXCEEDED" ? "DEADLINE_EXCEEDED" : "CANCELLED";
  const what = code === "CANCELLED" ? "was cancelled" : "took too long";
  return new ProcessFault(
    code,
    `${nameOf(argv[0] ?? "")} ${what}`,
    facts ?? { argv },
    signal?.reason,
  );
}

function describe(file: string, facts: ProcessFaultFacts): string {
  const how =
    facts.signal === undefined ? `exited with ${facts.exitCode}` : `died of ${facts.signal}`;
  const said = facts.stderrTail || facts.stdout?.toString("utf8").trim().slice(-512);
  return `${nameOf(file)} ${how}${said ? `: ${said}` : ""}`;
}

function nameOf(file: string): string {
  return path.basename(file);
}

class Capture {
  readonly #chunks: Buffer[] = [];
  readonly #max: number;
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get overflowed(): boolean {
    return this.#size > this.#max;
  }

  add(chunk: Buffer): void {
    this.#size += chunk.byteLength;
    if (!this.overflowed) this.#chunks.push(chunk);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  tail(): string {
    return this.bytes().subarray(-stderrTailBytes).toString("utf8").trim();
  }
}
