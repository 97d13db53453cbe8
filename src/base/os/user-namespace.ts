// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, read, writeFileSync, writeSync } from "node:fs";
import { fault } from "../errors.ts";
import { errnoName } from "./errno.ts";
import type { IdMapping, IdMappings } from "./id-mapping.ts";
import { reap } from "./reaper.ts";
import { closeAll, makePipe, spawnProcess } from "./spawn.ts";

export interface UserNamespaceRequest extends IdMappings {
  /** The pause program, whose `-u` holds a namespace. */
  readonly program: string;
  /** Makes a network namespace too, which then belongs to the user namespace. */
  readonly network: boolean;
}

/** New namespaces, there until disposed, or as long as something else holds them. */
export interface HeldUserNamespace extends AsyncDisposable {
  /** The process whose /proc/PID/ns/user and net are the namespaces. */
  readonly pid: number;
}

/**
 * Makes a user namespace. It is held by a process, since a thread of this one cannot enter one; that ends with the
 * daemon, however the daemon ends. FAILED_PRECONDITION when the kernel makes none (user.max_user_namespaces) or
 * refuses the maps.
 */
export async function holdUserNamespace(request: UserNamespaceRequest): Promise<HeldUserNamespace> {
  const input = makePipe();
  const output = makePipe();
  const nothing = openSync("/dev/null", "w");
  await using undo = new AsyncDisposableStack();
  undo.defer(() => closeSync(output.reader));
  let pid: number;
  try {
    pid = spawnProcess({
      path: request.program,
      argv: ["berth-userns", "-u"],
      env: {},
      cwd: "/",
      stdio: [input.reader, output.writer, nothing],
    });
  } catch (error) {
    closeSync(input.writer);
    throw error;
  } finally {
    closeAll([input.reader, output.writer, nothing]);
  }
  const ended = reap(pid, { keepsAlive: true });
  undo.defer(async () => {
    closeSync(input.writer);
    await ended;
  });
  const answered = async (what: string): Promise<void> => {
    if (await readsByte(output.reader)) return;
    const { exitCode = 0 } = await ended;
    throw fault("FAILED_PRECONDITION", `cannot make a ${what} namespace: ${errnoName(exitCode)}`);
  };
  await answered("user");
  writeMap(pid, "uid_map", request.uids);
  writeMap(pid, "gid_map", request.gids);
  if (request.network) {
    writeSync(input.writer, "n");
    await answered("network");
  }
  const owned = undo.move();
  return { pid, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function writeMap(pid: number, file: string, mappings: readonly IdMapping[]): void {
  const lines = mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}`);
  try {
    writeFileSync(`/proc/${pid}/${file}`, lines.join("\n"));
  } catch (cause) {
    throw fault("FAILED_PRECONDITION", `the kernel refuses the ids "${lines.join(", ")}"`, {
      cause,
    });
  }
}

/** On libuv's threads: the answer takes half a millisecond. False at the end of the pipe. */
function readsByte(fd: number): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  read(fd, Buffer.alloc(1), 0, 1, null, (error, count) => {
    if (error) reject(error);
    else resolve(count === 1);
  });
  return promise;
}
