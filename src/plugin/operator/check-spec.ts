// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { OciSpec } from "../../oci/spec.ts";

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isFilled: Check = (value) => typeof value === "string" && value !== "";
const isPath: Check = (value) => typeof value === "string" && value.startsWith("/");
const isTable: Check = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const field =
  (name: string, check: Check): Check =>
  (value) =>
    isTable(value) && check(Reflect.get(value as object, name));
const isId: Check = (value) => Number.isInteger(value) && Number(value) >= 0;

/** What the daemon itself reads, and what a runtime would choke on with a message nobody can place. */
const rules: readonly (readonly [path: string, wanted: string, check: Check])[] = [
  ["ociVersion", "a version", isFilled],
  ["process", "an object", isTable],
  ["process.args", "a list of strings that is not empty", nonEmpty(listOf(isText))],
  ["process.env", "a list of NAME=value", listOf((one) => /^[^=]+=/s.test(String(one)))],
  ["process.cwd", "an absolute path", isPath],
  ["process.user.uid", "a whole number", isId],
  ["process.user.gid", "a whole number", isId],
  ["root.path", "a path", isFilled],
  ["mounts", "a list of mounts with absolute destinations", listOf(field("destination", isPath))],
  ["annotations", "an object of strings", (value) => isTable(value) && everyText(value)],
  ["linux", "an object", isTable],
  ["linux.namespaces", "a list of namespaces with types", listOf(field("type", isFilled))],
  ["linux.resources", "an object", isTable],
];

/** The spec a plugin answered. INVALID_ARGUMENT names the first field that is wrong. */
export function checkSpec(spec: unknown): OciSpec {
  if (!isTable(spec)) throw fault("INVALID_ARGUMENT", "its spec is no object");
  for (const [path, wanted, check] of rules) {
    if (!check(valueAt(spec, path))) {
      throw fault("INVALID_ARGUMENT", `its spec is wrong: ${path} must be ${wanted}`);
    }
  }
  return spec as OciSpec;
}

function nonEmpty(check: Check): Check {
  return (value) => Array.isArray(value) && value.length > 0 && check(value);
}

function everyText(value: unknown): boolean {
  return Object.values(value as object).every(isText);
}

function valueAt(value: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>(
      (at, key) => (isTable(at) ? Reflect.get(at as object, key) : undefined),
      value,
    );
}
