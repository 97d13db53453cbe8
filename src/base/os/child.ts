// SPDX-License-Identifier: Apache-2.0

import { accessSync, closeSync, constants, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import { setImmediate as loopTurn } from "node:timers/promises";
import { errnoOf } from "../errors.ts";
import { settlesWithin } from "../waits.ts";
import { SystemError } from "./errno.ts";
import { type Ending, reap } from "./reaper.ts";
import { closeAll, makePipe, spawnProcess } from "./spawn.ts";

/** What fits into any pipe at once (pipe(7): 16 pages, or one for a user with many pipes). */
const inlineInputBytes = 4096;
/** How long an ended child's streams may stay open in the hands of its descendants. */
const lingerMs = 100;

export interface ChildRequest {
  /** A path, or a name to look up in the PATH of `env`. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** "open" when `write` is to give it more while it runs. */
  readonly input: Buffer | "open";
  readonly mergeStderr: boolean;
  readonly niceness?: number | undefined;
  readonly onStdout: (chunk: Buffer) => void;
  readonly onStderr: (chunk: Buffer) => void;
}

export interface Child {
  readonly pid: number;
  /** Settles when the child has ended and its output is read. */
  readonly ended: Promise<Ending>;
  /** Kills the child and all processes that are still in its session. */
  kill(): void;
  /** Stops the processes of its session, or lets them go on. */
  pause(isPaused: boolean): void;
  /** Writes to a child whose input is open; nothing happens once it has ended. */
  write(text: string): void;
}

/** Starts a child with pipes, in a session of its own. Throws system errors (ENOENT, EACCES, …). */
export function startChild(request: ChildRequest): Child {
  const program = findProgram(request.file, request.env);
  const theirs: number[] = [];
  const ours: number[] = [];
  try {
    const out = makePipe();
    ours.push(out.reader);
    theirs.push(out.writer);
    const err = request.mergeStderr ? undefined : makePipe();
    if (err !== undefined) {
      ours.push(err.reader);
      theirs.push(err.writer);
    }
    const input = openInput(request.input);
    theirs.push(input.reader);
    if (input.writer !== undefined) ours.push(input.writer);
    const pid = spawnProcess({
      path: program,
      argv: [request.file, ...request.args],
      env: request.env,
      cwd: request.cwd,
      stdio: [input.reader, out.writer, err?.writer ?? out.writer],
    });
    const exited = reap(pid, { keepsAlive: true });
    if (request.niceness !== undefined) lowerPriority(pid, request.niceness);
    const streams = [readAll(out.reader, request.onStdout)];
    if (err !== undefined) streams.push(readAll(err.reader, request.onStderr));
    const writer = input.writer === undefined ? undefined : writeAll(input.writer, request.input);
    return superviseChild(pid, exited, streams, writer);
  } catch (error) {
    closeAll(ours);
    throw error;
  } finally {
    closeAll(theirs);
  }
}

/** What the child starts from here on has the same. One that has ended already needs none. */
function lowerPriority(pid: number, niceness: number): void {
  try {
    os.setPriority(pid, niceness);
  } catch {
    // it is gone
  }
}

interface Stream {
  readonly socket: Socket;
  readonly ended: Promise<void>;
}

function superviseChild(
  pid: number,
  exited: Promise<Ending>,
  streams: readonly Stream[],
  writer: Socket | undefined,
): Child {
  let isGone = false;
  const finish = async (): Promise<Ending> => {
    const ending = await exited;
    isGone = true;
    writer?.destroy();
    // What the child wrote is in the pipes; a descendant that keeps them open is not waited for. When something held
    // this thread up, the timer may be due before the loop has looked at the pipes even once. After a full turn it
    // has, and what a dead child can have left is no more than a pipe holds.
    const allRead = Promise.all(streams.map((stream) => stream.ended));
    if (!(await settlesWithin(allRead, lingerMs))) await loopTurn();
    for (const { socket } of streams) socket.destroy();
    return ending;
  };
  const send = (signal: NodeJS.Signals): void => {
    if (isGone) return; // the pid may be another process's by now
    try {
      process.kill(-pid, signal);
    } catch (error) {
      if (errnoOf(error) !== "ESRCH") throw error;
    }
  };
  return {
    pid,
    ended: finish(),
    kill: () => send("SIGKILL"),
    pause: (isPaused) => send(isPaused ? "SIGSTOP" : "SIGCONT"),
    write: (text) => {
      if (writer?.writable) writer.write(text);
    },
  };
}

function readAll(fd: number, take: (chunk: Buffer) => void): Stream {
  const socket = new Socket({ fd, readable: true, writable: false });
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("data", take);
  socket.on("error", () => {}); // "close" follows
  socket.on("close", () => resolve());
  return { socket, ended: promise };
}

// A child that does not read its input (EPIPE) is no failure.
function writeAll(fd: number, input: Buffer | "open"): Socket {
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on("error", () => {});
  if (input !== "open") socket.end(input);
  return socket;
}

/** Short input is written into the pipe before the child starts; only long input needs a stream. */
function openInput(input: Buffer | "open"): {
  reader: number;
  writer: number | undefined;
} {
  if (input === "open") return makePipe();
  if (input.byteLength === 0) return { reader: openSync("/dev/null", "r"), writer: undefined };
  const pipe = makePipe();
  if (input.byteLength > inlineInputBytes) return pipe;
  writeSync(pipe.writer, input);
  closeSync(pipe.writer);
  return { reader: pipe.reader, writer: undefined };
}

/** Looks a program up as execvp does. Throws ENOENT, or EACCES when there is one that may not be run. */
export function findProgram(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): string {
  if (file.includes("/")) return file;
  let errno = 2;
  for (const folder of (env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(":")) {
    const candidate = path.join(folder, file);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch (error) {
      if (errnoOf(error) === "EACCES") errno = 13;
    }
  }
  throw new SystemError("spawn", errno, file);
}
