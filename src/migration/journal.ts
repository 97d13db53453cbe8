// SPDX-License-Identifier: Apache-2.0
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { writeFileAtomic } from "../base/atomic-file.ts";
import { errnoOf, fault } from "../base/errors.ts";
import { isRecord } from "../base/is-record.ts";
import { identify, isAlive, type ProcessIdentity } from "../base/os/proc.ts";
import { readBounded } from "../base/read-bounded.ts";
import type { Edit } from "./edit.ts";
import type { NodeKind } from "./node-kind.ts";

/** To Berth, or to the runtime of before. */
export type Direction = "to" | "back";

/** What a migration has found and done: enough to go on with it, or back, whenever it ended. */
export interface Journal {
  readonly version: 1;
  readonly node: string;
  readonly kind: NodeKind;
  /** The service that is or holds the kubelet. */
  readonly service: string;
  /** That of the runtime of before; undefined where the kubelet's service holds it, or something else needs it. */
  readonly oldService: string | undefined;
  /** The sockets. */
  readonly oldEndpoint: string;
  readonly ourEndpoint: string;
  /** `containerd://2.4.2`, as the node told. */
  readonly oldRuntime: string;
  /** It was cordoned before: it stays so. */
  readonly wasCordoned: boolean;
  readonly annotation: string | undefined;
  readonly edits: readonly Edit[];
  direction: Direction;
  /** Of this direction, in order. */
  done: string[];
  /** Of the way to Berth: each step that has ever begun. */
  begun: string[];
  /** The direction's last step has been done. */
  isOver: boolean;
  holder: ProcessIdentity | undefined;
}

const mostBytes = 1 << 20;

/** undefined where no migration was ever begun. */
export async function readJournal(file: string): Promise<Journal | undefined> {
  let text: string;
  try {
    text = (await readBounded(file, mostBytes)).toString();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const parsed: unknown = JSON.parse(text);
    if (isRecord(parsed) && parsed["version"] === 1 && Array.isArray(parsed["edits"])) {
      return parsed as unknown as Journal;
    }
  } catch {
    // told below
  }
  throw fault(
    "DATA_LOSS",
    `${file} is no journal of a migration that this version knows: it is to be read, and removed, by hand`,
  );
}

/** What a journal begins with: nothing is done. */
export type Facts = Omit<Journal, "version" | "direction" | "done" | "begun" | "isOver" | "holder">;

export function newJournal(facts: Facts): Journal {
  const state = { direction: "to", done: [], begun: [], isOver: false, holder: undefined } as const;
  return { version: 1, ...facts, ...state, done: [], begun: [] };
}

/** The journal while one process works by it: a line of `save` is on the disk when it resolves. */
export class OpenJournal implements AsyncDisposable {
  readonly journal: Journal;
  readonly #file: string;

  private constructor(file: string, journal: Journal) {
    this.#file = file;
    this.journal = journal;
  }

  /** FAILED_PRECONDITION while another process has it. */
  static async open(file: string, journal: Journal): Promise<OpenJournal> {
    refuseHeld(journal);
    const { pid } = process;
    journal.holder = { pid, startTime: identify(pid)?.startTime ?? "" };
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    const opened = new OpenJournal(file, journal);
    await opened.save();
    return opened;
  }

  async save(): Promise<void> {
    await writeFileAtomic(this.#file, `${JSON.stringify(this.journal, null, 2)}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.journal.holder = undefined;
    await this.save();
  }
}

export function refuseHeld({ holder }: Journal): void {
  if (holder === undefined || holder.pid === process.pid || !isAlive(holder)) return;
  throw fault("FAILED_PRECONDITION", `process ${holder.pid} is migrating this node`);
}
