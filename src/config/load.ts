// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, fstatSync, openSync, readdirSync } from "node:fs";
import path from "node:path";
import { parse, TomlError } from "smol-toml";
import { errnoOf, fault } from "../base/errors.ts";
import { firstBytes } from "../base/read-bounded.ts";
import { checkConfig } from "./check-config.ts";
import type { Config } from "./config.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { defaultConfig } from "./defaults.ts";
import { layoutOf } from "./layout.ts";
import { checkNesting } from "./nesting.ts";
import { type Fragment, readFragment, readSound, retiredIn } from "./schema.ts";
import { sections } from "./sections.ts";

/** Read when no file is named; it may be missing. */
export const defaultConfigFile = "/etc/berthd/config.toml";

/** /dev/null, major 1 and minor 3. */
const nullDevice = 0x1_03;
/** Far more than any configuration has. */
const mostBytes = 4 * 1024 * 1024;

export interface LoadOptions {
  /** A file that must exist. Its `config.d` is the folder of that name beside it. */
  readonly file?: string;
  /** Settings of the command line, shaped as the file: `{ grpc: { address: "/x" } }`. They win. */
  readonly overrides?: Readonly<Record<string, unknown>>;
}

export interface LoadedConfig {
  /** Deep-frozen, with nothing optional. */
  readonly config: Config;
  /** Things that work and are probably not meant. */
  readonly warnings: readonly string[];
  /** The files that were read, in order; the later one wins. */
  readonly sources: readonly string[];
  /** Who says what a key is, by its names in the file: a file, "the command line" or "the defaults". */
  readonly originOf: (key: readonly string[]) => string;
}

/**
 * Configuration file ← `config.d/*.toml` in lexical order ← command line, over the defaults. Tables
 * are merged key by key; any other value replaces the earlier one. Throws INVALID_ARGUMENT or
 * NOT_FOUND with a message made for the person who wrote the file. Reads, and changes nothing.
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const main = options.file ?? defaultConfigFile;
  const sources: string[] = [];
  const fragments: Fragment[] = [];
  const layers: Layer[] = [];
  const faulty = { faults: [] as string[], leftOut: [] as string[] };
  const add = (document: unknown, origin: string): void => {
    const { fragment, faults, leftOut } = readSound(document, origin);
    fragments.push(fragment);
    faulty.faults.push(...faults);
    faulty.leftOut.push(...leftOut);
    layers.push({ document, origin });
  };
  for (const file of [main, ...dropIns(main)]) {
    const text = readText(file, file === main && options.file === undefined);
    if (text === undefined) continue;
    add(parseToml(text, file), file);
    sources.push(file);
  }
  if (options.overrides) add(options.overrides, "the command line");

  const config = complete(fragments);
  const originOf = (key: readonly string[]): string => originIn(layers, key);
  const checked = checkConfig(config, originOf, faulty);
  const retired = layers.flatMap(({ document, origin }) => retiredIn(document, origin));
  const warnings = [...retired, ...checked];
  return { config: deepFreeze(config), warnings, sources, originOf };
}

/** What a document comes to over the defaults alone. Throws as `loadConfig`. */
export function configOf(document: unknown): Pick<LoadedConfig, "config" | "warnings"> {
  const config = complete([readFragment(document, "what was made")]);
  return { config, warnings: checkConfig(config, () => "what was made") };
}

interface Layer {
  readonly document: unknown;
  readonly origin: string;
}

/** The last layer that has the key; of one that none has (it was removed), the last that has its table. */
function originIn(layers: readonly Layer[], key: readonly string[]): string {
  for (let length = key.length; length > 0; length -= 1) {
    const wanted = key.slice(0, length);
    const found = layers.findLast(({ document }) => hasKey(document, wanted));
    if (found) return found.origin;
  }
  return "the defaults";
}

function hasKey(document: unknown, key: readonly string[]): boolean {
  let part = document;
  for (const name of key) {
    if (!isTable(part) || !Object.hasOwn(part, name)) return false;
    part = part[name];
  }
  return true;
}

function dropIns(main: string): string[] {
  const folder = path.join(path.dirname(main), "config.d");
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".toml") && !name.startsWith("."))
      .toSorted()
      .map((name) => path.join(folder, name));
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw fault("FAILED_PRECONDITION", `cannot read ${folder}: ${reason(error)}`, { cause: error });
  }
}

function readText(file: string, mayBeMissing: boolean): string | undefined {
  try {
    return readRegular(file);
  } catch (error) {
    if (mayBeMissing && errnoOf(error) === "ENOENT") return undefined;
    const code = errnoOf(error) === "ENOENT" ? "NOT_FOUND" : "FAILED_PRECONDITION";
    throw fault(code, `cannot read configuration file ${file}: ${reason(error)}`, { cause: error });
  }
}

/** Of a FIFO or a device nobody knows whether it ends. */
function readRegular(file: string): string {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const facts = fstatSync(fd);
    const isNull = facts.isCharacterDevice() && facts.rdev === nullDevice; // a usual way to say "none"
    if (!facts.isFile() && !isNull) throw new Error("it is no regular file");
    const bytes = firstBytes(fd, mostBytes + 1);
    if (bytes.length > mostBytes) throw new Error(`it has more than ${mostBytes} bytes`);
    return bytes.toString();
  } finally {
    closeSync(fd);
  }
}

function reason(error: unknown): string {
  return errnoOf(error) ?? (error instanceof Error ? error.message : String(error));
}

function parseToml(text: string, file: string): unknown {
  try {
    const document = parse(text);
    checkNesting(document, file);
    return document;
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split("\n")[0]?.replace("Invalid TOML document: ", "") ?? "";
    const where = `${file}:${error.line}:${error.column}`;
    // Without the cause, which the log would tell: it shows lines of the file, and they may have a proxy's login.
    throw fault("INVALID_ARGUMENT", `${where}: not valid TOML: ${what}`);
  }
}

function complete(fragments: readonly Fragment[]): Config {
  let merged: Fragment = {};
  for (const fragment of fragments) merged = merge(merged, fragment);
  const full = merge(defaultConfig, merged);
  const whole = withTableDefaults(full) as unknown as Config;
  const { socket, networks } = layoutOf(whole);
  const address = own(merged, "grpc", "address") ?? socket;
  const cacheDir = own(merged, "cni", "cacheDir") ?? networks;
  return {
    ...whole,
    grpc: { ...whole.grpc, address },
    cni: { ...whole.cni, cacheDir },
  };
}

/** What a handler's or a plugin's table leaves out. */
function withTableDefaults(full: Fragment): Fragment {
  const out: Record<string, unknown> = { ...full };
  for (const { key, tables } of sections) {
    if (tables === undefined) continue;
    const section = out[key] as Fragment;
    const named = Object.entries(section[tables.key] as Record<string, Fragment>);
    const filled = named.map(([name, table]) => [name, { ...tables.defaults, ...table }]);
    out[key] = { ...section, [tables.key]: Object.fromEntries(filled) };
  }
  return out;
}

/** A string that somebody set, as opposed to a default that follows another key. */
function own(merged: Fragment, table: string, property: string): string | undefined {
  const value = (merged[table] as Fragment | undefined)?.[property];
  return typeof value === "string" ? value : undefined;
}

function merge(base: Fragment, over: Fragment): Fragment {
  const out: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = out[key];
    out[key] = isTable(before) && isTable(value) ? merge(before, value) : value;
  }
  return out;
}

function isTable(value: unknown): value is Fragment {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
