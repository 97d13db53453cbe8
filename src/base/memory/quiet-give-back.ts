// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { keepCode } from "../kept-code.ts";
import { startInterval } from "../timers.ts";
import { trimOwn } from "./give-back.ts";
import { dropStartPages } from "./start-pages.ts";
import { endYoungOfStart } from "./young-heap.ts";

/** How often the end of a start looks whether it may come, and after how many looks it comes all the same. */
const startLookEveryMs = 1_000;
const mostStartLooks = 4;
const lookEveryMs = 5_000;
/** Share of one processor below which the daemon counts as quiet; lists and stats go on then. */
const quietShare = 0.04;
/** What must have been mapped since the last time for it to be worth a few milliseconds. */
const worthBytes = 6 * 2 ** 20;
const pageBytes = 4096;

export interface QuietWatchOptions {
  /** What processors have worked for the process, in milliseconds. */
  readonly cpuMs?: () => number;
  readonly now?: () => number;
}

export interface QuietOptions extends QuietWatchOptions {
  /** What is mapped of programs and libraries. */
  readonly fileBytes?: () => number;
  readonly giveBack?: () => Promise<void>;
}

/** Tells whether the process has done next to nothing since it was asked the last time. */
class QuietWatch {
  readonly #cpuMs: () => number;
  readonly #now: () => number;
  #at: number;
  #usedMs: number;

  constructor({ cpuMs, now }: QuietWatchOptions) {
    this.#cpuMs = cpuMs ?? cpuMsOfProcess;
    this.#now = now ?? (() => performance.now());
    this.#at = this.#now();
    this.#usedMs = this.#cpuMs();
  }

  isQuiet(): boolean {
    const [now, usedMs] = [this.#now(), this.#cpuMs()];
    const share = (usedMs - this.#usedMs) / Math.max(1, now - this.#at);
    this.#at = now;
    this.#usedMs = usedMs;
    return share < quietShare;
  }
}

/**
 * When a start is over: in the first quiet second, since what ends it stops the main thread for a tenth of a second, and
 * those who waited for the daemon come first. Where there is none, after four: until then each thread's
 * young objects may take 16 MB.
 */
export class StartsEnd {
  readonly #watch: QuietWatch;
  #looks = 0;

  constructor(options: QuietWatchOptions = {}) {
    this.#watch = new QuietWatch(options);
  }

  /** To be asked every second, until it is so. */
  hasCome(): boolean {
    this.#looks += 1;
    return this.#watch.isQuiet() || this.#looks >= mostStartLooks;
  }
}

/**
 * After a start, and after each burst of work, gives back what those needed and quiet has no use for: pages of Node's
 * binary, and what the C library keeps for later. Nothing that is wanted again costs more than a fault of a page.
 */
export class QuietGiveBack {
  readonly #watch: QuietWatch;
  readonly #fileBytes: () => number;
  readonly #giveBack: () => Promise<void>;
  /** What is mapped in quiet; undefined when that is yet to be seen. */
  #usualBytes: number | undefined = 0;

  constructor({ fileBytes, giveBack, ...options }: QuietOptions = {}) {
    this.#watch = new QuietWatch(options);
    this.#fileBytes = fileBytes ?? mappedFileBytes;
    this.#giveBack = giveBack ?? giveBackAll;
  }

  /** To be called every few seconds. */
  async look(): Promise<void> {
    if (!this.#watch.isQuiet()) return;
    const bytes = this.#fileBytes();
    // What came back by itself since the last time is what quiet needs.
    this.#usualBytes ??= bytes;
    if (bytes < this.#usualBytes + worthBytes) return;
    this.#usualBytes = undefined;
    await this.#giveBack();
  }
}

/** Looks now and then for as long as it is not disposed of. Keeps no process alive. */
export function giveBackInQuiet(onError: (error: unknown) => void): Disposable {
  const quiet = new QuietGiveBack();
  const look = (): void => void quiet.look().catch(onError);
  const start = new StartsEnd();
  const startLooks = startInterval(() => {
    if (!start.hasCome()) return;
    startLooks.stop();
    void endStart().catch(onError);
  }, startLookEveryMs).unref();
  const looks = startInterval(look, lookEveryMs).unref();
  return {
    [Symbol.dispose]: () => {
      startLooks.stop();
      looks.stop();
    },
  };
}

/** Also writes down what Node has compiled, which it would do as it ends: a daemon that is killed does not come to that. */
async function endStart(): Promise<void> {
  flushCompileCache();
  void keepCode().catch(() => {}); // Node says nothing either where it cannot write
  endYoungOfStart();
  await giveBackAll();
}

async function giveBackAll(): Promise<void> {
  trimOwn();
  await dropStartPages();
}

function cpuMsOfProcess(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Shared pages, of which a daemon has hardly others. */
function mappedFileBytes(): number {
  return Number(readFileSync("/proc/self/statm", "latin1").split(" ")[2]) * pageBytes;
}
