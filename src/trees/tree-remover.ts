// SPDX-License-Identifier: Apache-2.0
import { readdir, rename } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf, toFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { startTimer, type Timer } from "../base/timers.ts";
import { unlessAborted } from "../base/waits.ts";
import type { RemovesTrees, StuckTree, TreeWork } from "./ports.ts";

const doomedPrefix = ".doomed-";
/** Removals that the thread works on at the same time. */
const mostRunning = 4;
const firstDelayMs = 5000;
const longestDelayMs = 3_600_000;

/** Whether a remover gave this name to something that is to be deleted. */
export function isDoomed(name: string): boolean {
  return name.startsWith(doomedPrefix);
}

export interface TreeRemoverOptions {
  readonly work: TreeWork;
  readonly log: Logger;
  /** The wait before a second attempt; it doubles each time, to an hour. Default 5000. */
  readonly retryMs?: number;
}

/** A tree that is to be deleted. Its path is ours, and its last name the remover's. */
interface Doomed {
  readonly file: string;
  readonly sinceMs: number;
  attempts: number;
  code: string;
  retry: Timer | undefined;
  readonly gone: PromiseWithResolvers<void>;
}

/**
 * Removes trees that others have filled. Callers wait for a rename only: the new name marks the tree as rubbish, and
 * a job of `work` deletes it later. What cannot be deleted stays there, is listed, and tried again, more and more
 * rarely; also by the next daemon, which sweeps the folder.
 */
export class TreeRemover implements RemovesTrees, Disposable {
  readonly #work: TreeWork;
  readonly #log: Logger;
  readonly #retryMs: number;
  readonly #doomed = new Map<string, Doomed>();
  readonly #queue = new Set<Doomed>();
  readonly #ending = new AbortController();
  #running = 0;
  #sequence = 0;

  constructor({ work, log, retryMs = firstDelayMs }: TreeRemoverOptions) {
    this.#work = work;
    this.#log = log;
    this.#retryMs = retryMs;
  }

  get stuck(): readonly StuckTree[] {
    return [...this.#doomed.values()]
      .filter(({ attempts }) => attempts > 0)
      .map(({ file, code, attempts, sinceMs }) => ({ path: file, code, attempts, sinceMs }));
  }

  async remove(file: string, into = path.dirname(file)): Promise<void> {
    if (isDoomed(path.basename(file))) return this.#doom(file);
    this.#sequence += 1;
    const unique = `${Date.now().toString(36)}-${process.pid}-${this.#sequence}`;
    const target = path.join(into, `${doomedPrefix}${unique}`);
    try {
      await rename(file, target);
      this.#doom(target);
    } catch (error) {
      const code = errnoOf(error);
      if (code === "ENOENT" || code === "ENOTDIR") return;
      // A full disk, a mount on it, a flag that forbids it: the job can deal with that where the tree is.
      this.#log.warn(
        { err: error, path: file },
        "cannot move what is to be removed, removing it there",
      );
      this.#doom(file);
    }
  }

  async sweep(folder: string): Promise<void> {
    try {
      for (const name of await readdir(folder)) {
        if (isDoomed(name)) this.#doom(path.join(folder, name));
      }
    } catch (err) {
      if (errnoOf(err) !== "ENOENT") this.#log.warn({ err, folder }, "cannot look for rubbish");
    }
  }

  async settled(folder: string, { signal }: Cancellable): Promise<void> {
    const all = [...this.#doomed.values()].filter(({ file }) => path.dirname(file) === folder);
    await unlessAborted(Promise.all(all.map(({ gone }) => gone.promise)), signal);
  }

  /** Stops; what is not deleted yet is left to the next daemon. */
  [Symbol.dispose](): void {
    this.#ending.abort(new Error("the daemon stops"));
    for (const { retry } of this.#doomed.values()) retry?.stop();
    this.#queue.clear();
  }

  #doom(file: string): void {
    if (this.#doomed.has(file) || this.#ending.signal.aborted) return;
    const doomed: Doomed = {
      file,
      sinceMs: Date.now(),
      attempts: 0,
      code: "",
      retry: undefined,
      gone: Promise.withResolvers(),
    };
    this.#doomed.set(file, doomed);
    this.#queue.add(doomed);
    this.#pump();
  }

  #pump(): void {
    for (const doomed of this.#queue) {
      if (this.#running >= mostRunning || this.#ending.signal.aborted) return;
      this.#queue.delete(doomed);
      this.#running += 1;
      void this.#attempt(doomed); // cannot reject
    }
  }

  async #attempt(doomed: Doomed): Promise<void> {
    const { file } = doomed;
    try {
      const request = { folder: path.dirname(file), name: path.basename(file) };
      const { left } = await this.#work.run("remove", request, this.#ending);
      if (left === undefined) this.#went(doomed);
      else this.#stays(doomed, left.code, { at: left.name });
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#stays(doomed, toFault(error).code, { err: error });
    } finally {
      this.#running -= 1;
      this.#pump();
    }
  }

  #went(doomed: Doomed): void {
    const { file, attempts, gone } = doomed;
    this.#doomed.delete(file);
    gone.resolve();
    if (attempts > 0) this.#log.info({ path: file, attempts }, "removed at last");
  }

  #stays(doomed: Doomed, code: string, facts: Readonly<Record<string, unknown>>): void {
    const { attempts, file } = doomed;
    doomed.attempts += 1;
    doomed.code = code;
    doomed.gone.resolve(); // nobody waits for what cannot be deleted
    const delayMs = Math.min(this.#retryMs * 2 ** attempts, longestDelayMs);
    const tells = attempts === 0 ? "warn" : "debug";
    this.#log[tells]({ ...facts, path: file, code, delayMs }, "cannot remove, trying again later");
    const again = (): void => {
      this.#queue.add(doomed);
      this.#pump();
    };
    doomed.retry = startTimer(again, delayMs).unref();
  }
}
