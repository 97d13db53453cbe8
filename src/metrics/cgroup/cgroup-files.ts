// SPDX-License-Identifier: Apache-2.0
import { errnoOf } from "../../base/errors.ts";
import { readStart, readStartSync } from "../../base/read-bounded.ts";
import type { Pressure, PressureLine } from "./cgroup-sample.ts";

const noPressure: PressureLine = { totalNanos: 0n, avg10: 0, avg60: 0, avg300: 0 };
/** A v1 limit near the top of 63 bits, rounded down to a page, is how the kernel writes "none". */
const noLimit = 2n ** 62n;

/** A few KiB is usual; with hundreds of disks io.stat has tens of them. */
const maxBytes = 1024 * 1024;

/**
 * A cgroup file's text; undefined when it is not there, or its cgroup went away. A thousand are read at a time
 * when all pods are looked at: Node's readFile would take 64 KiB for each, since these report no size.
 */
export async function readCgroupFile(folder: string, name: string): Promise<string | undefined> {
  try {
    return (await readStart(`${folder}/${name}`, maxBytes)).toString();
  } catch (error) {
    return absentOrThrow(error);
  }
}

/** The same in the thread that reads figures: there a read that waits holds up nobody else. */
export function readCgroupFileSync(folder: string, name: string): string | undefined {
  try {
    return readStartSync(`${folder}/${name}`, maxBytes).toString("latin1");
  } catch (error) {
    return absentOrThrow(error);
  }
}

function absentOrThrow(error: unknown): undefined {
  const errno = errnoOf(error);
  // ENODEV: removed while open. EOPNOTSUPP: pressure accounting is off.
  if (errno === "ENOENT" || errno === "ENODEV" || errno === "EOPNOTSUPP") return undefined;
  throw error;
}

/** A file of one number; undefined for "max" and for anything that is no number. */
export function parseNumber(text: string | undefined): bigint | undefined {
  const trimmed = text?.trim() ?? "";
  return /^\d+$/.test(trimmed) ? BigInt(trimmed) : undefined;
}

/** A limit: undefined when there is none, in either version's spelling. */
export function parseLimit(text: string | undefined): bigint | undefined {
  const limit = parseNumber(text);
  return limit === undefined || limit >= noLimit ? undefined : limit;
}

/** Lines of `key value`. A key that is not there reads as 0. */
export class FlatFile {
  readonly #values = new Map<string, bigint>();

  constructor(text: string | undefined) {
    for (const line of (text ?? "").split("\n")) {
      const space = line.indexOf(" ");
      const value = space < 0 ? undefined : parseNumber(line.slice(space + 1));
      if (value !== undefined) this.#values.set(line.slice(0, space), value);
    }
  }

  get(key: string): bigint {
    return this.#values.get(key) ?? 0n;
  }

  find(key: string): bigint | undefined {
    return this.#values.get(key);
  }
}

/** Words of `key=value`: the last of a key counts, and a word without "=" says nothing of any. */
export function keyedWords(words: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    words.flatMap((word) => {
      const [key = "", value] = word.split("=");
      return value === undefined ? [] : [[key, value] as const];
    }),
  );
}

/** A *.pressure file: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0` and `full …`, totals in µs. */
export function parsePressure(text: string | undefined): Pressure | undefined {
  if (text === undefined) return undefined;
  const line = (kind: string): PressureLine => {
    const found = text.split("\n").find((candidate) => candidate.startsWith(`${kind} `));
    if (found === undefined) return noPressure;
    const fields = keyedWords(found.split(" "));
    return {
      totalNanos: (parseNumber(fields.get("total")) ?? 0n) * 1000n,
      avg10: average(fields.get("avg10")),
      avg60: average(fields.get("avg60")),
      avg300: average(fields.get("avg300")),
    };
  };
  return { some: line("some"), full: line("full") };
}

/** A share of time, such as 1.50; 0 for what is none, so that no metric is NaN. */
function average(text = ""): number {
  return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : 0;
}

/** `usage - reclaimable`, never below zero: the two are not read in the same instant. */
export function workingSet(usageBytes: bigint, inactiveFileBytes: bigint): bigint {
  return usageBytes > inactiveFileBytes ? usageBytes - inactiveFileBytes : 0n;
}
