// SPDX-License-Identifier: Apache-2.0
import { realpath } from "node:fs/promises";
import { errnoOf } from "../../base/errors.ts";
import { KeyedMutex } from "../../base/keyed-mutex.ts";
import { makeFolder } from "../../base/make-folder.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { unlessAborted } from "../../base/waits.ts";

/** Below the number of threads that Node has for files, so that some are always left for the rest. */
const atOnce = 3;

export interface HostPathCalls {
  realpath(path: string): Promise<string>;
  makeFolder(path: string): Promise<void>;
}

const hostCalls: HostPathCalls = {
  realpath,
  makeFolder: (path) => makeFolder(path, 0o755),
};

export interface HostPathLook {
  /** Where the mount is that the path is on. */
  readonly mountPoint: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Looks into paths that a request names. They may be on a file system whose server is gone: then a
 * call never comes back and keeps the thread it runs on. So on a mount other than the root at most
 * one look runs at a time, the next on the same mount wait behind it in memory, and paths elsewhere
 * go on. The exception to "no lock across a disk call": here the lock is what keeps the daemon alive.
 */
export class HostPaths {
  readonly #calls: HostPathCalls;
  readonly #mounts = new KeyedMutex();
  readonly #threads = new Semaphore(atOnce);

  constructor(calls: HostPathCalls = hostCalls) {
    this.#calls = calls;
  }

  /**
   * The path with its links resolved; a directory is made when nothing is there. Links are resolved
   * now, so that the path that is checked is the path that is mounted. Rejects with the signal's
   * reason when that fires first, though the look may go on. Throws SystemError.
   */
  async resolveOrMake(path: string, { mountPoint, signal }: HostPathLook): Promise<string> {
    // What a path's look is queued under: its mount, or on the root's file system the path itself.
    const key = mountPoint === "/" ? path : mountPoint;
    signal?.throwIfAborted();
    return unlessAborted(this.#look(path, key, signal), signal);
  }

  async #look(path: string, key: string, signal: AbortSignal | undefined): Promise<string> {
    const call = signal ? { signal } : {};
    using _mount = await this.#mounts.lock(key, call);
    using _thread = await this.#threads.acquire(call);
    try {
      return await this.#calls.realpath(path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
    await this.#calls.makeFolder(path);
    return await this.#calls.realpath(path);
  }
}
