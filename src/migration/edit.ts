// SPDX-License-Identifier: Apache-2.0
import { chmod, chown, lstat, mkdir, open, readlink, rename, rm } from "node:fs/promises";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { syncDirectory } from "../base/atomic-file.ts";
import { errnoOf, fault, toFault } from "../base/errors.ts";
import { isRecord } from "../base/is-record.ts";
import { readBounded } from "../base/read-bounded.ts";
import { parseYaml } from "../cri/oci-spec/parse-yaml.ts";

/**
 * One setting of one file: its value before and with Berth, and not the file, which may hold a token, and which others
 * may have changed meanwhile. `undefined`: it is not set.
 */
export interface Edit {
  readonly file: string;
  /** A key of a YAML or JSON file; a flag in a text of words; a whole file of ours. */
  readonly kind: "key" | "flag" | "file";
  /** `containerRuntimeEndpoint`, `container-runtime-endpoint`; "" for a file. */
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

const mostBytes = 1 << 20;
/** As the kernel follows. */
const mostLinks = 40;

/** Sets it to one of its two values. It may be so already. */
export async function applyEdit(edit: Edit, to: "before" | "after"): Promise<void> {
  const value = edit[to];
  const text = await textOf(edit.file);
  const changed = changedText(edit, text, value);
  if (changed !== text) await replaceFile(edit.file, changed);
}

/** Throws where it could not be applied, before anything is. */
export async function tryEdit(edit: Edit, to: "before" | "after"): Promise<void> {
  changedText(edit, await textOf(edit.file), edit[to]);
}

/** Whether its place is still there: a flag cannot be set where it is not. */
export async function hasPlace({ file, kind, name, before }: Edit): Promise<boolean> {
  if (kind === "file") return true;
  const text = await textOf(file);
  return kind === "flag"
    ? flagIn(text ?? "", name) !== undefined
    : text !== undefined || before === undefined;
}

/** The text with the setting as it shall be; undefined: no file. */
export function changedText(
  edit: Edit,
  text: string | undefined,
  value: string | undefined,
): string | undefined {
  switch (edit.kind) {
    case "file":
      return value;
    case "flag":
      return withFlag(edit, text ?? "", value);
    case "key":
      return text === undefined && value === undefined
        ? undefined
        : withKey(edit, text ?? "", value);
  }
}

/**
 * The value of a flag as a file of arguments has it: `--name=value`, `--name value`, quoted or not, each word on a line of
 * its own or not. The last one counts, as Go has it.
 */
export function flagIn(text: string, name: string): string | undefined {
  return flagsIn(text, name).at(-1)?.[3];
}

function flagsIn(text: string, name: string): readonly RegExpExecArray[] {
  return [...uncommented(text).matchAll(flagPattern(name))];
}

function flagPattern(name: string): RegExp {
  return new RegExp(`(--${name})(=|["']?(?:[ \\t]|\\\\\\n)+)["']?([^\\s"'\\\\]+)`, "g");
}

/** Comments as blanks, so that places stay. */
function uncommented(text: string): string {
  return text.replace(/^[ \t]*#.*$/gm, (line) => " ".repeat(line.length));
}

function withFlag({ file, name }: Edit, text: string, value: string | undefined): string {
  const found = flagsIn(text, name);
  if (found.length === 0 || value === undefined) {
    throw fault("FAILED_PRECONDITION", `${file} has no --${name} any more`);
  }
  let changed = text;
  for (const { index, 0: whole, 3: old = "" } of found.toReversed()) {
    const end = index + whole.length;
    changed = `${changed.slice(0, end - old.length)}${value}${changed.slice(end)}`;
  }
  const now = flagsIn(changed, name);
  const isSet = now.length === found.length && now.every((one) => one[3] === value);
  if (!isSet) throw cannotSet(file, name);
  return changed;
}

function withKey({ file, name }: Edit, text: string, value: string | undefined): string {
  const parsed = parsedTable(file, text);
  const isJson = text.trimStart().startsWith("{");
  const changed = isJson ? jsonWith(parsed, name, value) : yamlWith(text, name, value);
  if (parsed[name] === value) return text;
  // Whatever stands around it: it is that key that changes, and no other.
  const { [name]: _, ...others } = parsed;
  const wanted = value === undefined ? others : { ...others, [name]: value };
  if (!isDeepStrictEqual(parsedTable(file, changed), wanted)) throw cannotSet(file, name);
  return changed;
}

function jsonWith(
  parsed: Record<string, unknown>,
  name: string,
  value: string | undefined,
): string {
  const { [name]: _, ...others } = parsed;
  const changed = value === undefined ? others : { ...others, [name]: value };
  return `${JSON.stringify(changed, null, 2)}\n`;
}

function yamlWith(text: string, name: string, value: string | undefined): string {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => new RegExp(`^["']?${name}["']?[ \\t]*:`).test(line));
  const line = value === undefined ? [] : [`${name}: ${scalar(value)}`];
  if (at !== -1) return lines.toSpliced(at, 1, ...line).join("\n");
  const start = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  return line.length === 0 ? text : `${start}${line.join("")}\n`;
}

function scalar(value: string): string {
  return /^[a-z][\w./:@-]*$/i.test(value) && !/: |:$/.test(value) ? value : JSON.stringify(value);
}

function cannotSet(file: string, name: string): Error {
  return fault("FAILED_PRECONDITION", `cannot set ${name} in ${file}: it is to be set by hand`);
}

export function parsedTable(file: string, text: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = text.trim() === "" ? {} : (parseYaml(text) ?? {});
  } catch (error) {
    throw fault("FAILED_PRECONDITION", `${file}: ${toFault(error).message}`);
  }
  if (isRecord(parsed)) return parsed;
  throw fault("FAILED_PRECONDITION", `${file}: it is no table of settings`);
}

/** undefined where there is no such file. */
export async function textOf(file: string): Promise<string | undefined> {
  try {
    return (await readBounded(file, mostBytes, { follow: true })).toString();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Whole or not at all, with owner and mode as they were; a link stays one. */
async function replaceFile(named: string, text: string | undefined): Promise<void> {
  const file = await targetOf(named);
  if (text === undefined) return rm(file, { force: true });
  const old = await lstat(file).catch(() => undefined);
  if (old === undefined) await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
  const beside = `${file}.berth-migrate`;
  try {
    {
      await using handle = await open(beside, "w", 0o600);
      await handle.writeFile(text);
      await handle.sync();
    }
    if (old !== undefined) await chown(beside, old.uid, old.gid);
    await chmod(beside, old === undefined ? 0o600 : old.mode & 0o7777);
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  // The journal tells of it next: it must not be older than that after a power failure.
  await syncDirectory(path.dirname(file));
}

/** Through links to links, also where the last one leads to nothing yet. */
async function targetOf(file: string): Promise<string> {
  let target = file;
  for (let links = 0; links < mostLinks; links += 1) {
    const next = await readlink(target).catch(() => undefined);
    if (next === undefined) return target;
    target = path.resolve(path.dirname(target), next);
  }
  throw fault("FAILED_PRECONDITION", `${file} leads through more than ${mostLinks} links`);
}
