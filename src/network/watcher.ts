// SPDX-License-Identifier: Apache-2.0

import { type FSWatcher, watch } from "node:fs";
import path from "node:path";
import { startInterval, startTimer, type Timer } from "../base/timers.ts";
import { confDirFingerprint } from "./conf-dir.ts";

const settleMs = 50;
const defaultPollMs = 5000;

export interface WatcherOptions {
  readonly folder: string;
  /** Called after a change has settled. Never while an earlier call runs. */
  readonly onChange: () => Promise<void>;
  readonly pollMs?: number;
}

/**
 * Notices changes of a folder that may not exist yet, and may be replaced, renamed or remounted. A watch alone loses
 * track in all of these cases (a kubelet then waits for a restart that nobody does). So a cheap poll compares
 * fingerprints, and the watches on the folder and its parent only make that happen sooner.
 */
export class ConfDirWatcher implements AsyncDisposable {
  readonly #options: WatcherOptions;
  readonly #poll: Timer;
  #watchers: FSWatcher[] = [];
  #settle: Timer | undefined;
  #seen: string;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #isClosed = false;

  /** `seen` is the folder's fingerprint when its content was last loaded. */
  constructor(options: WatcherOptions, seen: string) {
    this.#options = options;
    this.#seen = seen;
    this.#watch();
    this.#poll = startInterval(() => this.#look(), options.pollMs ?? defaultPollMs);
    this.#poll.unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#poll.stop();
    this.#settle?.stop();
    this.#unwatch();
    await this.#looking;
  }

  #watch(): void {
    this.#unwatch();
    const { folder } = this.#options;
    for (const target of [folder, path.dirname(folder)]) {
      try {
        const watcher = watch(target, { persistent: false }, () => this.#soon());
        watcher.on("error", () => watcher.close());
        this.#watchers.push(watcher);
      } catch {
        // Missing, or no inotify instance left: the poll notices.
      }
    }
  }

  #unwatch(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }

  #soon(): void {
    if (this.#isClosed) return;
    this.#settle?.stop();
    this.#settle = startTimer(() => this.#look(), settleMs);
    this.#settle.unref();
  }

  #look(): void {
    if (this.#looking !== undefined) {
      this.#lookAgain = true;
      return;
    }
    this.#lookAgain = false;
    this.#looking = this.#compare().finally(() => {
      this.#looking = undefined;
      if (this.#lookAgain && !this.#isClosed) this.#look();
    });
  }

  async #compare(): Promise<void> {
    const { folder, onChange } = this.#options;
    const present = await confDirFingerprint(folder);
    if (present === this.#seen || this.#isClosed) return;
    this.#seen = present;
    this.#watch();
    await onChange();
  }
}
