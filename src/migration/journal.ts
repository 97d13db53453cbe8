// SPDX-License-Identifier: Apache-2.0
import { errnoOf, fault } from "../base/errors.ts";
import { isRecord } from "../base/is-record.ts";
import { readBounded } from "../base/read-bounded.ts";
import type { Edit } from "./edit.ts";
import type { NodeKind } from "./node-setting.ts";

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
  /** It was cordoned before this, or before the way back: it stays so. */
  wasCordoned: boolean;
  readonly annotation: string | undefined;
  edits: readonly Edit[];
  direction: Direction;
  /** Of this direction, in order. */
  done: string[];
  /** Of the way to Berth: each step that has ever begun. */
  begun: string[];
  /** The direction's last step has been done. */
  isOver: boolean;
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
export type Facts = Omit<Journal, "version" | "direction" | "done" | "begun" | "isOver">;

export function newJournal(facts: Facts): Journal {
  const state = { direction: "to", done: [], begun: [], isOver: false } as const;
  return { version: 1, ...facts, ...state, done: [], begun: [] };
}
