// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";

/** The records of a PAX extended header: values are bytes, since attributes hold anything. */
export interface PaxRecords {
  readonly values: ReadonlyMap<string, Buffer>;
  /** All records in order: the oldest sparse format repeats its keys. */
  readonly ordered: readonly (readonly [key: string, value: Buffer])[];
}

export const noPaxRecords: PaxRecords = { values: new Map(), ordered: [] };

/** Parses `LENGTH key=value\n` records; the length counts the whole record. */
export function parsePax(body: Buffer): PaxRecords {
  const values = new Map<string, Buffer>();
  const ordered: (readonly [string, Buffer])[] = [];
  for (let at = 0; at < body.length && body[at] !== 0; ) {
    const space = body.indexOf(0x20, at);
    const digits = space < 0 ? "" : body.toString("latin1", at, space);
    const length = /^\d{1,9}$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    const equals = body.indexOf(0x3d, space);
    if (
      end > body.length ||
      end <= space + 1 ||
      body[end - 1] !== 0x0a ||
      equals < 0 ||
      equals >= end
    ) {
      throw fault("INVALID_ARGUMENT", "malformed PAX header");
    }
    const key = body.toString("latin1", space + 1, equals);
    const value = body.subarray(equals + 1, end - 1);
    values.set(key, value);
    ordered.push([key, value]);
    at = end;
  }
  return { values, ordered };
}

/** A path or link, one character per byte. INVALID_ARGUMENT for one with a NUL, at which other tools cut it off. */
export function paxText(records: PaxRecords, key: string): string | undefined {
  const value = records.values.get(key);
  if (value === undefined || value.length === 0) return undefined;
  if (value.includes(0)) throw fault("INVALID_ARGUMENT", `NUL in PAX ${key}`);
  return value.toString("latin1");
}

/** A whole number; undefined when the key is absent. */
export function paxNumber(records: PaxRecords, key: string): number | undefined {
  const value = records.values.get(key);
  if (value === undefined || value.length === 0) return undefined;
  return wholeNumber(value.toString("latin1"));
}

/**
 * A time in seconds with up to nine digits of fraction; negative before 1970. Undefined for what is no time, too: it is
 * no reason to refuse a file.
 */
export function paxTime(
  records: PaxRecords,
  key: string,
): { seconds: number; nanos: number } | undefined {
  const match = /^([+-]?)(\d+)(?:\.(\d*))?$/.exec(
    records.values.get(key)?.toString("latin1") ?? "",
  );
  if (!match) return undefined;
  const seconds = Number(match[2]);
  const nanos = Number((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  const sign = match[1] === "-" ? -1 : 1;
  if (!Number.isSafeInteger(seconds)) return { seconds: sign * Number.MAX_SAFE_INTEGER, nanos: 0 };
  if (sign === 1) return { seconds, nanos };
  return nanos === 0
    ? { seconds: 0 - seconds, nanos }
    : { seconds: -seconds - 1, nanos: 1e9 - nanos };
}

/** An owner, which some tools write as a negative number. */
export function paxOwner(records: PaxRecords, key: string): number | undefined {
  const value = records.values.get(key)?.toString("latin1") ?? "";
  return value.startsWith("-") ? -wholeNumber(value.slice(1)) : paxNumber(records, key);
}

/** Decimal digits that fit a safe integer. */
export function wholeNumber(digits: string): number {
  const value = /^\d{1,16}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw fault("INVALID_ARGUMENT", "bad number in a PAX header");
  return value;
}
