// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "../base/cancellable.ts";
import { toFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { timeoutSignal } from "../base/timers.ts";
import type { Config } from "./config.ts";
import type { LiveConfig } from "./live-config.ts";
import type { LoadedConfig } from "./load.ts";
import { missingFiles } from "./missing-files.ts";
import { type ConfigChange, keyText } from "./reload-diff.ts";
import type { ReloadHistory } from "./reload-history.ts";
import { planReload } from "./reload-plan.ts";
import { KeyFault, type PreparedReload, type ReloadPart } from "./reload-port.ts";

/** What all parts may take together; most of it is for programs that are asked what they can do. */
const prepareMs = 60_000;

export interface ReloaderOptions {
  readonly live: LiveConfig;
  readonly history: ReloadHistory;
  /** Reads the files again; throws as loadConfig does. */
  readonly load: () => LoadedConfig;
  readonly parts: readonly ReloadPart[];
  /** Keys, by their beginning in Config's names, of parts that are not up: they wait for a restart. */
  readonly held: readonly string[];
  readonly log: Logger;
}

/**
 * Takes up changed configuration files, all or nothing. One reload runs at a time, and all that are
 * asked for meanwhile are one more.
 */
export class Reloader implements AsyncDisposable {
  readonly #options: ReloaderOptions;
  readonly #end = new AbortController();
  #running: Promise<void> | undefined;
  #isWanted = false;

  constructor(options: ReloaderOptions) {
    this.#options = options;
  }

  /** Settles when the files have been read after this call. Never rejects: what fails is logged. */
  reload(): Promise<void> {
    this.#isWanted = true;
    this.#running ??= this.#runAll();
    return this.#running;
  }

  /** A reload that runs is rolled back, or comes to its end; nothing else follows. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new DOMException("the daemon stops", "AbortError"));
    await this.#running;
  }

  async #runAll(): Promise<void> {
    while (this.#isWanted && !this.#end.signal.aborted) {
      this.#isWanted = false;
      await this.#runOnce();
    }
    this.#running = undefined;
  }

  async #runOnce(): Promise<void> {
    const { history, load, log } = this.#options;
    let loaded: LoadedConfig | undefined;
    try {
      loaded = load();
      await this.#apply(loaded);
    } catch (error) {
      if (this.#end.signal.aborted) return;
      const { message } = toFault(error);
      const where =
        error instanceof KeyFault && loaded
          ? { key: keyText(error.key), file: loaded.originOf(error.key) }
          : {};
      const reason =
        where.key === undefined ? message : `"${where.key}" in ${where.file}: ${message}`;
      history.failed(reason);
      log.error({ ...where, reason }, "configuration not reloaded, everything stays as it was");
    }
  }

  async #apply(loaded: LoadedConfig): Promise<void> {
    const { held, history, live, log } = this.#options;
    const { config, sources } = loaded;
    const plan = planReload(live.current, config, (path) => held.some((key) => isIn(path, key)));
    const call = { signal: AbortSignal.any([this.#end.signal, timeoutSignal(prepareMs)]) };
    const [prepared, missing] = await Promise.all([
      this.#prepareAll(plan.next, plan.changes, call),
      missingFiles(loaded),
    ]);
    // From here on nothing waits and nothing fails.
    live.replace(plan.next);
    for (const one of prepared) one.commit();

    const changes = plan.changes.map(({ text }) => text);
    const waiting = plan.waiting.map(({ text }) => text);
    history.succeeded(plan.next, changes, waiting);
    for (const warning of [...loaded.warnings, ...missing])
      log.warn({ warning }, "configuration warning");
    log.info({ sources, changes }, "configuration reloaded");
    if (waiting.length > 0) {
      log.warn({ keys: waiting }, "changed keys wait for a restart of berthd");
    }
  }

  /** Side by side; when one cannot, all others give back what they have, and its error is thrown. */
  async #prepareAll(
    next: Config,
    changes: readonly ConfigChange[],
    call: Cancellable,
  ): Promise<readonly PreparedReload[]> {
    const concerned = this.#options.parts.flatMap((part) => {
      const own = changes.filter(({ path }) => part.keys.some((key) => isIn(path, key)));
      return own.length === 0 ? [] : [{ part, own }];
    });
    const ends = await Promise.allSettled(
      concerned.map(({ part, own }) => prepareOne(part, next, own, call)),
    );
    const prepared = ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
    const failed = ends.find((end) => end.status === "rejected");
    if (failed === undefined && !call.signal.aborted) return prepared;
    await Promise.all(prepared.map((one) => this.#rollBack(one)));
    throw failed === undefined ? toFault(call.signal.reason) : failed.reason;
  }

  async #rollBack(prepared: PreparedReload): Promise<void> {
    try {
      await prepared.rollback();
    } catch (err) {
      this.#options.log.error({ err }, "part of a reload could not be rolled back");
    }
  }
}

/** An error that names no key is about the first one that the part was to take up. */
async function prepareOne(
  part: ReloadPart,
  next: Config,
  changes: readonly ConfigChange[],
  call: Cancellable,
): Promise<PreparedReload> {
  try {
    return await part.prepare(next, changes, call);
  } catch (error) {
    if (error instanceof KeyFault) throw error;
    const { code, message } = toFault(error);
    throw new KeyFault(code, changes[0]?.key ?? [], message, { cause: error });
  }
}

/** Whether a path begins with a key: `["cni", "confDir"]` is in `cni`. */
function isIn(path: readonly string[], key: string): boolean {
  return key.split(".").every((part, index) => path[index] === part);
}
