// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";
import { checked, SystemError } from "./errno.ts";
import { type CFunction, libc, libcAside } from "./libc.ts";

const posixSpawn =
  "int posix_spawn(void *pid, const char *path, void *actions, void *attributes, const char **argv, const char **envp)";
const cPosixSpawn = libc(posixSpawn);
const cPosixSpawnAside = libcAside(posixSpawn);
const actions = {
  init: libc("int posix_spawn_file_actions_init(void *actions)"),
  destroy: libc("int posix_spawn_file_actions_destroy(void *actions)"),
  dup2: libc("int posix_spawn_file_actions_adddup2(void *actions, int fd, int target)"),
  closeFrom: libc("int posix_spawn_file_actions_addclosefrom_np(void *actions, int from)"),
  chdir: libc("int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)"),
};
const attributes = {
  init: libc("int posix_spawnattr_init(void *attributes)"),
  destroy: libc("int posix_spawnattr_destroy(void *attributes)"),
  flags: libc("int posix_spawnattr_setflags(void *attributes, short flags)"),
  defaults: libc("int posix_spawnattr_setsigdefault(void *attributes, void *set)"),
  mask: libc("int posix_spawnattr_setsigmask(void *attributes, void *set)"),
};
const cSigfillset = libc("int sigfillset(void *set)");
const cSigemptyset = libc("int sigemptyset(void *set)");
const cPipe2 = libc("int pipe2(void *fds, int flags)");

/** POSIX_SPAWN_SETSIGDEF, SETSIGMASK and SETSID of spawn.h. */
const flags = 0x4 | 0x8 | 0x80;
const closeOnExec = 0o2000000;
/** Above what glibc and musl need for any of these structs (80, 336 and 128 bytes). */
const structBytes = 512;

export interface SpawnRequest {
  /** Path of the program; nothing is searched. */
  readonly path: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Our descriptors that become the child's 0, 1, 2 and so on. The child gets no others. */
  readonly stdio: readonly [stdin: number, stdout: number, stderr: number, ...more: number[]];
}

/**
 * Starts a program with posix_spawn: 0.2 ms whatever the daemon's size, where the fork that `child_process` does
 * blocks the event loop in proportion to it (10 ms at 100 MB). All signals are at their defaults in the child. The
 * caller reaps it. Throws SystemError (ENOENT, EACCES, …), also for the working directory.
 */
export function spawnProcess(request: SpawnRequest): number {
  using call = prepare(request);
  return call.pidAfter(cPosixSpawn(...call.args));
}

/**
 * The same on a thread of the pool: the kernel blocks the caller until the program is loaded, which takes
 * milliseconds on a busy machine. The child may have ended before its pid is known, so this is only for those whose
 * end nobody waits for.
 */
export async function spawnProcessAside(request: SpawnRequest): Promise<number> {
  using call = prepare(request);
  return call.pidAfter(await cPosixSpawnAside(...call.args));
}

interface SpawnCall extends Disposable {
  readonly args: readonly unknown[];
  pidAfter(errno: number): number;
}

function prepare(request: SpawnRequest): SpawnCall {
  using owned = new DisposableStack();
  const files = owned.use(struct(actions.init, actions.destroy));
  const attrs = owned.use(struct(attributes.init, attributes.destroy));
  succeed(actions.chdir(files.bytes, request.cwd), "chdir");
  request.stdio.forEach((fd, target) => {
    succeed(actions.dup2(files.bytes, fd, target), "dup2");
  });
  succeed(actions.closeFrom(files.bytes, request.stdio.length), "closefrom");
  const set = Buffer.alloc(structBytes);
  cSigfillset(set);
  succeed(attributes.defaults(attrs.bytes, set), "sigdefault");
  cSigemptyset(set);
  succeed(attributes.mask(attrs.bytes, set), "sigmask");
  succeed(attributes.flags(attrs.bytes, flags), "setflags");
  const env = Object.entries(request.env)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`);
  const pid = Buffer.alloc(4);
  const kept = owned.move();
  return {
    args: [pid, request.path, files.bytes, attrs.bytes, [...request.argv, null], [...env, null]],
    pidAfter: (errno) => {
      if (errno !== 0) throw new SystemError("posix_spawn", errno, request.path);
      return pid.readInt32LE(0);
    },
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** A pipe whose ends no child inherits by accident. */
export function makePipe(): { readonly reader: number; readonly writer: number } {
  const fds = Buffer.alloc(8);
  checked(cPipe2(fds, closeOnExec), "pipe2");
  return { reader: fds.readInt32LE(0), writer: fds.readInt32LE(4) };
}

/** Closes descriptors; one that is closed already is no error. */
export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) {
    try {
      closeSync(fd);
    } catch {
      // EBADF
    }
  }
}

function struct(init: CFunction, destroy: CFunction): Disposable & { readonly bytes: Buffer } {
  const bytes = Buffer.alloc(structBytes);
  succeed(init(bytes), "posix_spawn");
  return { bytes, [Symbol.dispose]: () => void destroy(bytes) };
}

// This family answers the errno itself.
function succeed(errno: number, step: string): void {
  if (errno !== 0) throw new SystemError(`posix_spawn ${step}`, errno, "");
}
