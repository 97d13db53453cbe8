// SPDX-License-Identifier: Apache-2.0
import { toFault } from "../../base/errors.ts";
import { startInterval } from "../../base/timers.ts";
import type { TransferKind } from "../ports.ts";
import { Transfer, type TransferTotals } from "./transfer.ts";

/** What is told of a pull or a push while it goes on. */
export interface TransferNews extends TransferTotals {
  readonly kind: TransferKind;
  readonly moment: "start" | "progress" | "end";
  readonly image: string;
  readonly seconds: number;
  /** What it failed with, at the end; "" otherwise. */
  readonly error: string;
}

/** Bytes that all pulls, and all pushes, have moved since the start, and how many run. */
export interface TransferCounts {
  readonly bytes: Readonly<Record<TransferKind, number>>;
  readonly running: Readonly<Record<TransferKind, number>>;
}

/** How often the progress of each is told. */
const tellMs = 1000;

/** The pulls and pushes that run now, whoever asked for them. */
export class Transfers {
  readonly #running = new Set<Transfer>();
  readonly #bytes = { pull: 0, push: 0 };
  readonly #onNews: ((news: TransferNews) => void) | undefined;

  /** `onNews` hears of each start and end, and of changes between, once a second at most. Must not throw. */
  constructor(onNews?: (news: TransferNews) => void) {
    this.#onNews = onNews;
  }

  list(): readonly Transfer[] {
    return [...this.#running];
  }

  /** The pull of an image, by its canonical name. */
  pullOf(image: string): Transfer | undefined {
    return this.list().find((one) => one.kind === "pull" && one.image === image);
  }

  /** Those that run have not been counted yet. */
  counts(): TransferCounts {
    const of = (kind: TransferKind): readonly Transfer[] =>
      this.list().filter((one) => one.kind === kind);
    const bytes = (kind: TransferKind): number =>
      of(kind).reduce((sum, { movedBytes }) => sum + movedBytes, this.#bytes[kind]);
    return {
      bytes: { pull: bytes("pull"), push: bytes("push") },
      running: { pull: of("pull").length, push: of("push").length },
    };
  }

  /** Shows a transfer for as long as `work` goes on. */
  async during<T>(
    kind: TransferKind,
    image: string,
    work: (transfer: Transfer) => Promise<T>,
  ): Promise<T> {
    const transfer = new Transfer(kind, image);
    this.#running.add(transfer);
    this.#tell(transfer, "start");
    let told = 0;
    using _telling =
      this.#onNews &&
      startInterval(() => {
        if (told === transfer.version) return;
        told = transfer.version;
        this.#tell(transfer, "progress");
      }, tellMs);
    let error = "";
    try {
      return await work(transfer);
    } catch (cause) {
      error = toFault(cause).message;
      throw cause;
    } finally {
      this.#running.delete(transfer);
      this.#bytes[kind] += transfer.movedBytes;
      this.#tell(transfer, "end", error);
    }
  }

  #tell(transfer: Transfer, moment: TransferNews["moment"], error = ""): void {
    const { kind, image, startedAt } = transfer;
    const totals = transfer.totals();
    const state = moment === "end" ? (error === "" ? "done" : "failed") : totals.state;
    const seconds = (performance.now() - startedAt) / 1000;
    this.#onNews?.({ ...totals, kind, moment, image, seconds, state, error });
  }
}
