// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import type { OciSpec } from "./spec.ts";

/** Parts whose own parts are told apart. */
const divided: ReadonlySet<string> = new Set(["process", "linux", "linux.resources"]);

/** The parts in which two specs differ: `mounts`, `process.env`, `linux.resources.memory`. */
export function changedParts(before: OciSpec, after: OciSpec): string[] {
  return changesIn("", before, after);
}

function changesIn(at: string, before: object, after: object): string[] {
  const was = before as Readonly<Record<string, unknown>>;
  const is = after as Readonly<Record<string, unknown>>;
  const names = new Set([...Object.keys(was), ...Object.keys(is)]);
  return [...names].flatMap((name) => {
    const [old, now] = [was[name], is[name]];
    const part = at === "" ? name : `${at}.${name}`;
    if (divided.has(part) && isObject(old) && isObject(now)) return changesIn(part, old, now);
    return isDeepStrictEqual(old, now) ? [] : [part];
  });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
