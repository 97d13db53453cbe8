// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Host } from "../host.ts";

/** Where units lie, those that win first. */
export const unitFolders = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];
const mostFiles = 100;

/** A service as systemd would read it from its files. */
export interface Unit {
  /** The unit and its drop-ins in the order in which they count; the first is the unit, where there is one. */
  readonly files: readonly FlagFile[];
  /** What its EnvironmentFile= lines name and is there. */
  readonly environmentFiles: readonly FlagFile[];
  /** The ExecStart= that counts, as it is written; "" where none does. */
  readonly command: string;
  readonly variables: ReadonlyMap<string, string>;
  /** Keys of [Service], each with the value that stands last; for what may be set many times, with its last line. */
  readonly settings: ReadonlyMap<string, string>;
}

export interface FlagFile {
  readonly file: string;
  readonly text: string;
}

export async function readUnit(host: Host, service: string): Promise<Unit> {
  const files = await unitFiles(host, service);
  let command = "";
  let variables = new Map<string, string>();
  let named: string[] = [];
  const settings = new Map<string, string>();
  for (const { text } of files) {
    for (const [key, value] of serviceLines(text)) {
      settings.set(key, value);
      // An empty one takes back what stood before it.
      if (key === "ExecStart") command = value;
      if (key === "Environment" && value === "") variables = new Map();
      if (key === "Environment") for (const word of wordsOf(value)) set(variables, word);
      if (key === "EnvironmentFile") named = value === "" ? [] : [...named, value];
    }
  }
  const environmentFiles: FlagFile[] = [];
  for (const one of named.slice(0, mostFiles)) {
    // Only %n has the suffix.
    const pattern = one
      .replace(/^-/, "")
      .replaceAll(/%[Nnp]/g, (it) => (it === "%n" ? `${service}.service` : service));
    for (const file of await matching(host, pattern)) {
      const text = await textOf(host, file);
      if (text !== undefined) environmentFiles.push({ file, text });
    }
  }
  // They win over Environment=, wherever that stands.
  for (const { text } of environmentFiles)
    for (const [name, value] of assignments(text)) variables.set(name, value);
  return { files, environmentFiles, command, variables, settings };
}

/** A command's words without systemd's signs before the program, variables filled in. */
export function wordsOfCommand({ command, variables }: Unit): string[] {
  return wordsOf(command.replace(/^[-@:+!|]+/, "")).flatMap((word) => {
    // `$NAME` as a word of its own becomes as many words as it holds, `${NAME}` stays in its word.
    const alone = /^\$(\w+)$/.exec(word)?.[1];
    if (alone !== undefined) return wordsOf(variables.get(alone) ?? "");
    return [word.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => variables.get(name) ?? "")];
  });
}

/** Whether a file is a package's or made anew at each boot, and not an operator's to change. */
export function isOfPackage(file: string): boolean {
  return /^\/(usr\/(?!local\/)|lib\/|run\/)/.test(file);
}

async function unitFiles(host: Host, service: string): Promise<FlagFile[]> {
  const found: FlagFile[] = [];
  const dropIns = new Map<string, string>();
  for (const folder of unitFolders) {
    const file = path.join(folder, `${service}.service`);
    const text = found.length === 0 ? await textOf(host, file) : undefined;
    if (text !== undefined) found.push({ file, text });
    const names = await host.names(`${file}.d`).catch(() => []);
    for (const name of names)
      if (name.endsWith(".conf") && !dropIns.has(name)) dropIns.set(name, `${file}.d/${name}`);
  }
  if (found.length === 0) return [];
  for (const name of [...dropIns.keys()].toSorted().slice(0, mostFiles)) {
    const file = dropIns.get(name) ?? "";
    const text = await textOf(host, file);
    if (text !== undefined) found.push({ file, text });
  }
  return found;
}

/** A pattern's last part may have `*` and `?`, as in systemd. */
async function matching(host: Host, pattern: string): Promise<string[]> {
  const { dir, base } = path.posix.parse(pattern);
  if (!/[*?]/.test(base)) return [pattern];
  const names = await host.names(dir).catch(() => []);
  return names
    .filter((name) => path.matchesGlob(name, base))
    .toSorted()
    .slice(0, mostFiles)
    .map((name) => path.posix.join(dir, name));
}

/** A folder, or what is not for us to read, is as none. */
export async function textOf(host: Host, file: string): Promise<string | undefined> {
  return host.text(file).catch(() => undefined);
}

/** Keys and values of [Service], long lines joined. */
function serviceLines(text: string): [string, string][] {
  const found: [string, string][] = [];
  let section = "";
  for (const line of text.replaceAll(/\\\n/g, " ").split("\n")) {
    const trimmed = line.trim();
    section = /^\[(\w+)\]$/.exec(trimmed)?.[1] ?? section;
    const [, key, value] = /^(\w+)\s*=\s*(.*)$/.exec(trimmed) ?? [];
    if (section === "Service" && key !== undefined) found.push([key, value ?? ""]);
  }
  return found;
}

/** Lines of a file of variables. */
export function assignments(text: string): [string, string][] {
  const found: [string, string][] = [];
  for (const [, name = "", value = ""] of text.matchAll(/^\s*(?:export\s+)?(\w+)=(.*)$/gm))
    found.push([name, value.trim().replace(/^(["'])(.*)\1$/, "$2")]);
  return found;
}

function set(variables: Map<string, string>, word: string): void {
  const at = word.indexOf("=");
  if (at > 0) variables.set(word.slice(0, at), word.slice(at + 1));
}

export function wordsOf(text: string): string[] {
  return (text.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? []).map((word) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, "$1$2"),
  );
}
