// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../base/cancellable.ts";
import { isFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { makeFifo } from "../base/os/fifo.ts";
import { mountsHolding } from "../base/os/mount-table.ts";
import type { IoConfig } from "../client/ports.ts";
import type { BusyWith } from "./busy-mark.ts";
import { FifoHolders } from "./fifo-holders.ts";
import { HangingDisks } from "./hanging-disks.ts";
import { logFault } from "./log-fault.ts";
import { LogWorkerLink } from "./log-worker-link.ts";
import type { LogNotice, LogRequest } from "./messages.ts";
import type { ContainerLog, ContainerLogs, LogOptions } from "./ports.ts";
import { PumpedLog } from "./pumped-log.ts";

export interface ContainerLogsOptions {
  /** Root of the FIFO folders, on a file system that forgets at a reboot. Made when missing. */
  readonly folder: string;
  /** Longer lines are split; ≤ 0 for no limit. Read when a log is opened, and valid for all its life. */
  readonly maxLineBytes: number;
  readonly log: Logger;
  /** Lines of a container's log are being lost, or so many bytes were. Must not throw. */
  readonly onLoss?: (container: string, what: string) => void;
  /** Program that holds FIFOs open while the daemon is away, see FifoHolders; "" for none. */
  readonly holder: string;
  /** Module of the worker thread, for tests. @default worker.ts */
  readonly worker?: URL;
  /** How long the worker may take to answer, for tests. @default 20 s */
  readonly answerMs?: number;
  /** How long it may take for one piece of work, for tests. @default 5 s */
  readonly hangMs?: number;
}

/**
 * Starts the log worker with the first log, or ahead of it. Disposing ends it; containers go on and block once their
 * FIFOs are full.
 */
export class WorkerContainerLogs implements ContainerLogs {
  readonly #options: ContainerLogsOptions;
  readonly #folder: string;
  readonly #log: Logger;
  readonly #link: LogWorkerLink;
  readonly #holders: FifoHolders | undefined;
  readonly #found: Promise<void>;
  readonly #logs = new Map<string, PumpedLog>();
  readonly #hanging = new HangingDisks();
  #isGivingUp = false;
  #keys = 0;
  #closed: LogTotals = { bytes: 0, lostBytes: 0 };

  constructor(options: ContainerLogsOptions) {
    const { folder, holder, log, worker, answerMs, hangMs } = options;
    this.#options = options;
    this.#folder = folder;
    this.#log = log;
    this.#holders = holder === "" ? undefined : new FifoHolders(holder, log);
    this.#found = this.#findHolders();
    const events = {
      onNotice: (notice: LogNotice) => this.#notice(notice),
      onRestart: () => this.#reattachAll(),
      onHang: (work: BusyWith) => void this.#giveUp(work),
    };
    this.#link = new LogWorkerLink(log, events, {
      ...(worker && { entry: worker }),
      ...(answerMs !== undefined && { answerMs }),
      ...(hangMs !== undefined && { hangMs }),
    });
  }

  prepare(): void {
    try {
      this.#link.start();
    } catch (err) {
      this.#log.debug({ err }, "the first log that is opened tries it again");
    }
  }

  async open(options: LogOptions, { signal }: Cancellable): Promise<ContainerLog> {
    await this.#hanging.refuse(options.logPath);
    signal.throwIfAborted();
    // Synchronous, so that removeOrphans never sees a folder whose log is not known yet.
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const folder = mkdtempSync(path.join(this.#folder, folderPrefix(options.containerId)));
    const config = ioConfig(folder, options);
    try {
      for (const fifo of [config.stdin, config.stdout, config.stderr]) {
        if (fifo !== "") makeFifo(fifo);
      }
      const held = this.#hold(folder, config);
      return await this.#start(options, config, { folder, held, resume: false, signal });
    } catch (error) {
      this.#holders?.release(folder);
      await rm(folder, { recursive: true, force: true });
      throw cannotOpen(options.containerId, error);
    }
  }

  async resume(
    options: LogOptions & { readonly config: IoConfig; readonly stopped: boolean },
    { signal }: Cancellable,
  ): Promise<ContainerLog> {
    await this.#hanging.refuse(options.logPath);
    signal.throwIfAborted();
    const { config } = options;
    const parent = path.dirname(config.stdout || config.stderr || config.stdin);
    const folder = path.dirname(parent) === this.#folder ? parent : undefined;
    await this.#found;
    const held =
      folder === undefined || options.stopped ? Promise.resolve() : this.#hold(folder, config);
    try {
      // A stopped task's FIFOs are at their end at once; a living one's are read on. Both start with
      // what the FIFOs hold, since the poller says nothing about an end that came before us.
      return await this.#start(options, config, { folder, held, resume: true, signal });
    } catch (error) {
      throw cannotOpen(options.containerId, error);
    }
  }

  async salvage(options: LogOptions, call: Cancellable): Promise<void> {
    const prefix = folderPrefix(options.containerId);
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names.filter((each) => each.startsWith(prefix))) {
      const config = ioConfig(path.join(this.#folder, name), { ...options, stdin: false });
      const how = { ...options, stdin: false, config, stopped: true };
      await using log = await this.resume(how, call);
      await log.drained(call);
    }
  }

  async removeOrphans(kept: readonly string[] = []): Promise<number> {
    await this.#found;
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const present = await readdir(this.#folder);
    const used = new Set([...this.#logs.values()].flatMap(({ folder }) => folder ?? []));
    const prefixes = kept.map(folderPrefix);
    for (const name of present) {
      if (prefixes.some((prefix) => name.startsWith(prefix)))
        used.add(path.join(this.#folder, name));
    }
    this.#holders?.releaseOthers(used);
    const orphans = present
      .map((name) => path.join(this.#folder, name))
      .filter((folder) => !used.has(folder));
    await Promise.all(orphans.map((folder) => rm(folder, { recursive: true, force: true })));
    return orphans.length;
  }

  totals(): LogTotals {
    return sum(this.#closed, ...[...this.#logs.values()].map((log) => log.counts()));
  }

  async #findHolders(): Promise<void> {
    try {
      await this.#holders?.find(this.#folder);
    } catch (err) {
      this.#log.warn({ err }, "holders of FIFOs cannot be looked for");
    }
  }

  async #hold(folder: string, { stdout, stderr }: IoConfig): Promise<void> {
    await this.#holders?.hold(
      folder,
      [stdout, stderr].filter((fifo) => fifo !== ""),
    );
  }

  #forget(key: string): void {
    const log = this.#logs.get(key);
    if (log) this.#closed = sum(this.#closed, log.counts());
    if (log?.folder !== undefined) this.#holders?.release(log.folder);
    this.#logs.delete(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const log of this.#logs.values()) await log.closeStdin();
    await this.#link[Symbol.asyncDispose]();
  }

  async #start(
    options: LogOptions,
    config: IoConfig,
    how: {
      readonly folder: string | undefined;
      readonly held: Promise<void>;
      readonly resume: boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<ContainerLog> {
    this.#keys += 1;
    const key = String(this.#keys);
    const { stdout, stderr } = config;
    const log = new PumpedLog({
      containerId: options.containerId,
      config,
      folder: how.folder,
      held: how.held,
      request: {
        kind: "open",
        key,
        logPath: options.logPath,
        logFolder: options.logFolder,
        stdout,
        stderr,
        journal: journalOf(how.folder, options),
        resume: how.resume,
        unfinished: {},
        maxLineBytes: this.#options.maxLineBytes,
      },
      send: (request) => this.#ask(key, request),
      onDisposed: () => this.#forget(key),
    });
    this.#logs.set(key, log);
    try {
      if (options.stdin) log.openStdin({ tolerant: how.resume });
      await log.start();
      // The wait is one round trip to the worker; an abort that came meanwhile still counts.
      how.signal.throwIfAborted();
      return log;
    } catch (error) {
      await log.abandon();
      throw error;
    }
  }

  #notice(notice: LogNotice): void {
    switch (notice.kind) {
      case "ended":
        this.#logs.get(notice.key)?.ended(notice.counts);
        return;
      case "tap-ended":
        this.#logs.get(notice.key)?.tapEnded(notice.tap, notice.why);
        return;
      case "counts":
        for (const [key, counts] of notice.counts) this.#logs.get(key)?.counted(counts);
        return;
      case "unfinished":
        this.#logs.get(notice.key)?.unfinishedIn(notice.stream, notice.memory);
        return;
      case "loss-began":
        this.#log.error(
          { container: this.#containerOf(notice.key), errno: notice.errno },
          "container output is being lost: log file cannot be written",
        );
        this.#tellLoss(
          notice.key,
          `are being lost: the log file cannot be written (${notice.errno})`,
        );
        return;
      case "loss-ended":
        this.#log.warn(
          { container: this.#containerOf(notice.key), lostBytes: notice.lostBytes },
          "container log is being written again",
        );
        this.#tellLoss(
          notice.key,
          `were lost, ${notice.lostBytes} bytes: the file is written again`,
        );
        return;
      case "unguarded":
        this.#log.warn(
          { container: this.#containerOf(notice.key), reason: notice.message },
          "a kill of the daemon may cost lines of a container's log",
        );
        return;
      case "trouble":
        this.#log.warn(
          { container: this.#containerOf(notice.key), reason: notice.message },
          "container log could not be resumed in full",
        );
        return;
      case "done":
      case "failed":
        return;
    }
  }

  async #ask(key: string, request: LogRequest): Promise<void> {
    // The FIFOs are with a worker that does nothing more, or with none.
    if (this.#hanging.hasLog(key)) this.#hanging.refuseLog(request);
    else await this.#link.request(request);
  }

  /** Leaves the logs on a disk that hangs to wait for it; all others go on with another worker. */
  async #giveUp(work: BusyWith): Promise<void> {
    if (this.#isGivingUp) return; // reported again while the mounts are looked up
    this.#isGivingUp = true;
    const paths = [...this.#logs.values()].map(({ logPath }) => logPath);
    const mounts = await mountsHolding(paths).catch(() => undefined);
    const diskOf = (key: string): string | undefined => {
      const logPath = this.#logs.get(key)?.logPath ?? "";
      return logPath === "" ? undefined : mounts?.of(logPath)?.mountPoint;
    };
    const disk = diskOf(work.key);
    const keys = [...this.#logs.keys()].filter(
      (key) => key === work.key || (disk !== undefined && diskOf(key) === disk),
    );
    const resume = this.#hanging.add(disk, keys);
    const old = this.#link.giveUp(work, new Set(keys), () => {
      for (const key of keys) this.#logs.get(key)?.leaveWorker();
      this.#reattachAll();
    });
    this.#isGivingUp = false;
    if (old === undefined) return resume();
    const container = this.#containerOf(work.key);
    this.#log.error(
      { container, disk },
      "a disk of container logs does not answer: they wait for it",
    );
    await old.gone;
    resume();
    this.#log.warn({ container, disk }, "a disk of container logs answers again");
    this.#reattach(keys);
  }

  #reattachAll(): void {
    this.#reattach([...this.#logs.keys()].filter((key) => !this.#hanging.hasLog(key)));
  }

  #reattach(keys: readonly string[]): void {
    for (const key of keys) {
      const log = this.#logs.get(key);
      if (log === undefined) continue;
      log.reattach().catch((err: unknown) => {
        this.#log.error({ err, container: log.containerId }, "cannot reattach container log");
      });
    }
  }

  #tellLoss(key: string, what: string): void {
    const container = this.#containerOf(key);
    if (container !== undefined) this.#options.onLoss?.(container, what);
  }

  #containerOf(key: string): string | undefined {
    return this.#logs.get(key)?.containerId;
  }
}

type LogTotals = ReturnType<ContainerLogs["totals"]>;

function sum(...totals: readonly LogTotals[]): LogTotals {
  return totals.reduce(
    (all, { bytes, lostBytes }) => ({
      bytes: all.bytes + bytes,
      lostBytes: all.lostBytes + lostBytes,
    }),
    { bytes: 0, lostBytes: 0 },
  );
}

function folderPrefix(containerId: string): string {
  return `${containerId.slice(0, 12)}-`;
}

/** Beside the FIFOs, where they are ours; output that is discarded needs none. */
function journalOf(folder: string | undefined, { logPath }: LogOptions): string {
  return folder === undefined || logPath === "" ? "" : path.join(folder, "journal");
}

function ioConfig(folder: string, { terminal, stdin }: LogOptions): IoConfig {
  return {
    stdin: stdin ? path.join(folder, "stdin") : "",
    stdout: path.join(folder, "stdout"),
    stderr: terminal ? "" : path.join(folder, "stderr"),
    terminal,
  };
}

function cannotOpen(containerId: string, error: unknown): unknown {
  if (error instanceof Error && error.name === "AbortError") return error;
  if (isFault(error) && error.code !== "INTERNAL") return error;
  const cause = isFault(error) ? error.cause : error;
  return logFault(`cannot open log of container "${containerId}"`, cause);
}
