// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from "node:fs";
import path from "node:path";
import type { Worker } from "node:worker_threads";
import { fault, type RuntimeFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { endThread } from "../../base/threads/thread.ts";
import { MirroredStore, type RowWriter } from "../mirrored-store.ts";
import type { RowChange, StoredRow } from "../mirrored-table.ts";
import type { MetadataStore } from "../ports.ts";
import { startWriter } from "./early-writer.ts";
import { lostRecords, refusalNow } from "./file-header.ts";
import type { ThreadAnswer, ThreadRequest } from "./thread-messages.ts";

export interface OpenMetadataOptions {
  /** The database file; its folder is made when missing. */
  readonly path: string;
  readonly log: Logger;
  /** Folders that hold what the records tell of, see lostRecords. */
  readonly told?: readonly string[];
  /** A thread that is there already; left out, one is started. */
  readonly worker?: Worker | undefined;
  /** Called once when the thread that writes has died: nothing can be stored any more. */
  readonly onLost?: (error: RuntimeFault) => void;
}

/**
 * Opens the daemon's metadata. FAILED_PRECONDITION when another daemon has it open or a newer one
 * wrote it, DATA_LOSS when the file as a whole is damaged, or gone while what it told of is not; single damaged rows are only
 * set aside.
 */
export async function openMetadata(options: OpenMetadataOptions): Promise<MetadataStore> {
  const lost = lostRecords(options.path, options.told ?? []);
  if (lost !== undefined) {
    if (options.worker) await endThread(options.worker);
    throw fault("DATA_LOSS", lost);
  }
  mkdirSync(path.dirname(options.path), { recursive: true, mode: 0o700 });
  const thread = new WriterThread(options);
  return new MirroredStore(await thread.opened, thread, options.log);
}

class WriterThread implements RowWriter {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #onLost: OpenMetadataOptions["onLost"];
  #isClosing = false;
  #pending: PromiseWithResolvers<ThreadAnswer> | undefined;
  #dead: RuntimeFault | undefined;
  #harm: string | undefined;
  readonly #log: Logger;
  /** The stored rows, once the database is open. */
  readonly opened: Promise<readonly StoredRow[]>;

  constructor({ path: file, log, onLost, worker = startWriter() }: OpenMetadataOptions) {
    this.#log = log;
    this.#onLost = onLost;
    this.#worker = worker;
    this.#worker.on("message", (answer: ThreadAnswer) => {
      if (answer.kind === "harm") this.#tell(answer.harm);
      else this.#pending?.resolve(answer);
    });
    this.#worker.on("error", (error) => this.#fail(error));
    this.#exited = new Promise((resolve) => {
      this.#worker.once("exit", () => {
        this.#fail(undefined);
        resolve();
      });
    });
    this.opened = this.#open(file);
  }

  get harm(): string | undefined {
    return this.#harm;
  }

  async write(changes: readonly RowChange[]): Promise<void> {
    const answer = await this.#ask({ kind: "write", changes });
    if (answer.kind === "failed") throw fault(answer.code, answer.message);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#post({ kind: "close" });
    await this.#exited;
  }

  async #open(file: string): Promise<readonly StoredRow[]> {
    const rows: StoredRow[] = [];
    let answer = await this.#ask({ kind: "open", file });
    while (answer.kind === "opened" || answer.kind === "rows") {
      if (answer.kind === "rows") {
        for (const row of answer.rows) rows.push(row);
        if (answer.isLast) return rows;
      }
      answer = await this.#ask({ kind: "next" });
    }
    await this.close();
    if (answer.kind === "failed") {
      const told = answer.code === "DATA_LOSS" ? refusalNow(file) : undefined;
      throw fault(answer.code, told ?? answer.message);
    }
    throw fault("INTERNAL", `metadata thread answered "${answer.kind}" at its start`);
  }

  async #ask(request: ThreadRequest): Promise<ThreadAnswer> {
    if (this.#dead) throw this.#dead;
    this.#pending = Promise.withResolvers();
    this.#post(request);
    try {
      return await this.#pending.promise;
    } finally {
      this.#pending = undefined;
    }
  }

  #post(request: ThreadRequest): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker.postMessage(request);
  }

  #tell(harm: string | undefined): void {
    this.#harm = harm;
    if (harm === undefined) this.#log.info({}, "records can be stored again");
    else this.#log.error({ reason: harm }, "nothing can be stored any more");
  }

  #fail(cause: unknown): void {
    const isFirst = this.#dead === undefined;
    this.#dead ??= fault("UNAVAILABLE", "metadata store has stopped", { cause });
    this.#pending?.reject(this.#dead);
    if (isFirst && !this.#isClosing) this.#onLost?.(this.#dead);
  }
}
