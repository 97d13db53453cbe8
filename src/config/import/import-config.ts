// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import { stringify } from "smol-toml";
import { toFault } from "../../base/errors.ts";
import { configOf } from "../load.ts";
import { containerdEntries, writtenAs } from "./containerd-names.ts";
import { containerdRules } from "./containerd-rules.ts";
import { crioRules } from "./crio-rules.ts";
import { finishContainerd, finishCrio } from "./finish.ts";
import {
  leavesOf,
  readContainerdFiles,
  readCrioFiles,
  readToml,
  type SourceFile,
} from "./read-tree.ts";
import { type HostsToml, registryHosts } from "./registry-hosts.ts";
import { type Entry, matches, type Rule, type Setting } from "./rule.ts";
import { nested, put, type Table } from "./tables.ts";
import { checkWhose } from "./whose-file.ts";

export interface Imported {
  /** A configuration of ours. */
  readonly text: string;
  readonly files: readonly string[];
  /** What has no counterpart, in the order of the files. */
  readonly lost: readonly { readonly written: string; readonly reason: string }[];
  readonly hosts: readonly HostsToml[];
  /** What `berthd config check` would warn of. */
  readonly warnings: readonly string[];
}

/**
 * Makes a configuration of ours of containerd's, versions 1 to 4 with imports, or of CRI-O's with its drop-ins. Throws
 * NOT_FOUND and INVALID_ARGUMENT with the file, the latter also for one that is nobody's of these; what has no counterpart, or a value that berthd does not take, is told.
 */
export function importConfig(file: string): Imported {
  const isCrio = isCrioFile(file);
  const files = isCrio ? readCrioFiles(file) : readContainerdFiles(file);
  checkWhose(files, isCrio);
  const entries = lastOfEach(files.flatMap(isCrio ? crioEntries : containerdEntries));
  const registries = registryHosts(entries);
  const document: Table = {};
  const unmatched: { written: string; reason: string }[] = [];
  const set = ({ key, value }: Setting, written: string): void => {
    // What options there are depends on the handler's type: they are looked at when all are there.
    if (key[3] === "options") return put(document, key, value);
    try {
      configOf(nested(key, value));
      put(document, key, value);
    } catch (error) {
      const { message } = toFault(error);
      if (isOfAnother(message)) put(document, key, value);
      else unmatched.push({ written, reason: `berthd does not take this value: ${message}` });
    }
  };
  for (const entry of entries) {
    if (registries.taken.has(entry)) continue;
    const made = apply(isCrio ? crioRules : containerdRules, entry);
    if ("lost" in made) unmatched.push({ written: entry.written, reason: made.lost });
    else for (const setting of made) set(setting, entry.written);
  }
  const finish = isCrio ? finishCrio : finishContainerd;
  unmatched.push(
    ...finish(document, new Map(entries.map((one) => [one.canonical.join("/"), one.value]))),
  );
  unmatched.push(...registries.lost);
  const { warnings } = configOf(document);
  return {
    text: Object.keys(document).length === 0 ? "" : `${stringify(document).trimEnd()}\n`,
    files: files.map((one) => one.file),
    lost: unmatched,
    hosts: registries.files,
    warnings,
  };
}

/** A fault that another key of the same file may take away. */
function isOfAnother(message: string): boolean {
  return /default_handler" is "|tls_(cert|key)_file/.test(message);
}

function isCrioFile(file: string): boolean {
  if (/crio\.conf(\.d)?\/?$/.test(file) || /crio\.conf\.d\/[^/]+$/.test(file)) return true;
  return "crio" in readToml(file, "");
}

function crioEntries({ document }: SourceFile): readonly Entry[] {
  return leavesOf(document).map(({ name, value }) => ({
    canonical: name.map((part) => part.replaceAll("/", "\u2215")),
    written: writtenAs(name),
    value,
  }));
}

/** Of a key that several files have, the last. */
function lastOfEach(entries: readonly Entry[]): readonly Entry[] {
  return [...new Map(entries.map((entry) => [entry.canonical.join("/"), entry])).values()];
}

function apply(rules: readonly Rule[], { canonical, value }: Entry): ReturnType<Rule["becomes"]> {
  for (const rule of rules) {
    const names = matches(rule, canonical);
    if (names === undefined) continue;
    if (rule.quiet?.some((one) => isDeepStrictEqual(one, value)) === true) return [];
    return rule.becomes(value, names);
  }
  if (["", 0, false].includes(value as string) || isDeepStrictEqual(value, [])) return [];
  return { lost: "berthd has no such key" };
}
