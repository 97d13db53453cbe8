// SPDX-License-Identifier: Apache-2.0

import { closeSync, openSync } from "node:fs";
import path from "node:path";
import { timeLimit } from "./deadline.ts";
import { errnoOf, type FaultCode, RuntimeFault, toFault } from "./errors.ts";
import { onAbort } from "./on-abort.ts";
import { type Child, findProgram, startChild } from "./os/child.ts";
import { identify, killProcess } from "./os/proc.ts";
import { type Ending, reap } from "./os/reaper.ts";
import { spawnProcess } from "./os/spawn.ts";
import { Capture, Lines } from "./process-output.ts";
import { Silence, SilenceFault } from "./silence.ts";
import { settlesWithin } from "./waits.ts";

const defaultMaxOutputBytes = 4 * 1024 * 1024;
/** No program of ours works longer without output, but for those whose caller sets another limit. */
const defaultTimeoutMs = 600_000;
/** How long a killed program may take to be gone; after that one in an uninterruptible sleep is not waited for. */
const killedMs = 2000;
/** What a program writes, on a line of its own, to show that it makes progress. */
const signOfLife = ".";

export interface RunOptions {
  readonly input?: Uint8Array | string;
  /** The whole environment of the child; the daemon's own when left out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Working directory; "/" when left out, never the daemon's own. */
  readonly cwd?: string;
  /** Aborting kills the child and all it started in its session with SIGKILL. */
  readonly signal?: AbortSignal;
  /** Longest time in all. Ten minutes when left out; with `silenceMs` no limit but silence. */
  readonly timeoutMs?: number;
  /** Longest time without any output, for programs that take long and write as they make progress. */
  readonly silenceMs?: number;
  /** Bytes kept of each stream; more than that kills the child and fails. Default 4 MiB. */
  readonly maxOutputBytes?: number;
  /** Sends stderr into the stdout buffer, in the order written. */
  readonly mergeStderr?: boolean;
  /** Resolve whatever the exit code is; otherwise anything but 0 is a ProcessFault. */
  readonly anyExitCode?: boolean;
  /** Of the child and what it starts, as nice(1) has it; the daemon's own when left out. */
  readonly niceness?: number;
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
  /** What it wrote before it ended; CNI plugins put their error object here. */
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
  using silence = new Silence(options.silenceMs);
  const asked = options.signal ? [options.signal] : [];
  using time = timeLimit(limitMs(options), silence.signal, ...asked);
  const limit = time.signal;
  if (hasEnded(limit)) throw aborted(argv, limit);
  const maxBytes = options.maxOutputBytes ?? defaultMaxOutputBytes;
  const stdout = new Capture(maxBytes);
  const stderr = new Capture(maxBytes);
  const feed = (capture: Capture) => (chunk: Buffer) => {
    silence.broken();
    capture.add(chunk);
    if (capture.overflowed) child.kill();
  };
  const child = start(argv, () =>
    startChild({
      file,
      args,
      env: childEnvironment(options.env),
      cwd: options.cwd ?? "/",
      input: Buffer.from(options.input ?? ""),
      mergeStderr: options.mergeStderr === true,
      niceness: options.niceness,
      onStdout: feed(stdout),
      onStderr: feed(stderr),
    }),
  );
  const { exitCode, signal } = await orKilled(child.ended, child, limit, argv);
  const facts = { argv, exitCode, signal, stdout: stdout.bytes(), stderrTail: stderr.tail() };
  if (stdout.overflowed || stderr.overflowed) {
    const message = `${nameOf(file)} wrote more than ${maxBytes} bytes`;
    throw new ProcessFault("RESOURCE_EXHAUSTED", message, facts);
  }
  if (hasEnded(limit) && signal !== undefined) throw aborted(argv, limit, facts);
  if (exitCode === undefined || (exitCode !== 0 && options.anyExitCode !== true)) {
    throw new ProcessFault("UNKNOWN", describe(file, facts), facts);
  }
  return { stdout: stdout.bytes(), stderr: stderr.bytes(), exitCode };
}

/** A program that answers each line it reads with a line. Disposing kills it. */
export interface Conversation extends Disposable {
  readonly pid: number;
  /** False once its end is known. */
  readonly isRunning: boolean;
  /**
   * Sends a line and answers the line that comes back; one at a time. Rejects once the program is gone, with a
   * ProcessFault as `run` does. An abort kills the program, and so does silence: lines "." show that it makes
   * progress.
   */
  ask(
    line: string,
    call: { readonly signal: AbortSignal; readonly silenceMs: number },
  ): Promise<string>;
  /** Stops the program, or lets it go on. While it is stopped, its silence does not count. */
  pause(isPaused: boolean): void;
}

/** Starts a program for a conversation. `maxOutputBytes` is for one answer. */
export function converse(
  file: string,
  args: readonly string[],
  options: Pick<RunOptions, "env" | "maxOutputBytes"> = {},
): Conversation {
  const argv = [file, ...args];
  const stderr = new Capture(defaultMaxOutputBytes);
  let asked: PromiseWithResolvers<string> | undefined;
  let silence: Silence | undefined;
  let isStopped = false;
  const lines = new Lines(options.maxOutputBytes ?? defaultMaxOutputBytes, (line) => {
    if (line !== signOfLife) asked?.resolve(line);
  });
  const child = start(argv, () =>
    startChild({
      file,
      args,
      env: childEnvironment(options.env),
      cwd: "/",
      input: "open",
      mergeStderr: false,
      onStdout: (chunk) => {
        silence?.broken();
        lines.add(chunk);
        if (lines.overflowed) child.kill();
      },
      onStderr: (chunk) => stderr.add(chunk),
    }),
  );
  let isRunning = true;
  const failure = child.ended.then(({ exitCode, signal }) => {
    isRunning = false;
    const facts = { argv, exitCode, signal, stderrTail: stderr.tail() };
    return new ProcessFault("UNKNOWN", describe(file, facts), facts);
  });
  return {
    pid: child.pid,
    get isRunning() {
      return isRunning;
    },
    ask: async (line, { signal, silenceMs }) => {
      using quiet = new Silence(silenceMs);
      const limit = AbortSignal.any([signal, quiet.signal]);
      if (hasEnded(limit)) child.kill();
      const own = Promise.withResolvers<string>();
      asked = own;
      silence = quiet;
      if (isStopped) quiet.pause();
      child.write(`${line}\n`);
      // The end of the program is reported after its last output.
      const ended = failure.then((error) => Promise.reject(error));
      try {
        return await orKilled(Promise.race([own.promise, ended]), child, limit, argv);
      } catch (error) {
        throw hasEnded(limit) ? aborted(argv, limit) : error;
      }
    },
    pause: (isPaused) => {
      isStopped = isPaused;
      child.pause(isPaused);
      if (isPaused) silence?.pause();
      else silence?.resume();
    },
    [Symbol.dispose]: () => child.kill(),
  };
}

/** A program that outlives us; `exited` settles when it is gone. */
export interface RunningProcess {
  readonly pid: number;
  readonly exited: Promise<Ending>;
  kill(signal: NodeJS.Signals): void;
}

export interface DetachedOptions extends Pick<RunOptions, "env" | "cwd"> {
  /** Default /dev/null. We keep it open too. */
  readonly stdin?: number;
  /** A descriptor that becomes the program's 3, a listening socket for example. We keep it open too. */
  readonly listener?: number;
}

/** Starts a program in a session of its own, without output, that outlives the daemon. */
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
        stdio: [options.stdin ?? nothing, nothing, nothing, ...more],
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

function limitMs({ timeoutMs, silenceMs }: RunOptions): number {
  return timeoutMs ?? (silenceMs === undefined ? defaultTimeoutMs : Number.POSITIVE_INFINITY);
}

/**
 * Waits for work that a child does, and kills the child when the limit fires. A child that survives that is not
 * waited for.
 */
async function orKilled<T>(
  work: Promise<T>,
  child: Child,
  limit: AbortSignal,
  argv: readonly string[],
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const kill = async (): Promise<void> => {
    child.kill();
    if (!(await settlesWithin(work, killedMs))) late.reject(aborted(argv, limit));
  };
  using _reaction = onAbort(limit, () => void kill());
  return await Promise.race([work, late.promise]);
}

// A function, not `limit.aborted`: the compiler would remember the first answer.
function hasEnded(limit: AbortSignal): boolean {
  return limit.aborted;
}

function aborted(
  argv: readonly string[],
  signal: AbortSignal,
  facts?: ProcessFaultFacts,
): ProcessFault {
  const cause = toFault(signal.reason);
  const code = cause.code === "DEADLINE_EXCEEDED" ? "DEADLINE_EXCEEDED" : "CANCELLED";
  const late = signal.reason instanceof SilenceFault ? cause.message : "took too long";
  const what = code === "CANCELLED" ? "was cancelled" : late;
  return new ProcessFault(
    code,
    `${nameOf(argv[0] ?? "")} ${what}`,
    facts ?? { argv },
    signal.reason,
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
