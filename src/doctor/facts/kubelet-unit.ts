// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Host } from "../host.ts";

/** Where units lie, those that win first. */
const unitFolders = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];
/** Where kubeadm and packages keep flags; units read them by EnvironmentFile=. */
const flagFiles = [
  "/var/lib/kubelet/kubeadm-flags.env",
  "/etc/default/kubelet",
  "/etc/sysconfig/kubelet",
];
const flagVariables = ["KUBELET_KUBEADM_ARGS", "KUBELET_EXTRA_ARGS"];
const mostFiles = 100;

/** How the kubelet is started on this node. */
export interface KubeletUnit {
  /** undefined where no unit tells. */
  readonly program: string | undefined;
  readonly flags: readonly string[];
  /** Where flags may stand: the unit, its drop-ins, and files of variables. */
  readonly files: readonly FlagFile[];
}

export interface FlagFile {
  readonly file: string;
  readonly text: string;
}

/** Reads systemd's unit with its drop-ins, as systemd would; without one the files that kubeadm and packages write. */
export async function readKubeletUnit(host: Host): Promise<KubeletUnit> {
  const units = await unitFiles(host);
  const variables = new Map<string, string>();
  const read: FlagFile[] = [];
  let command = "";
  const take = async (file: string): Promise<void> => {
    const text = await textOf(host, file);
    if (text === undefined || read.some((one) => one.file === file)) return;
    read.push({ file, text });
    for (const [name, value] of assignments(text)) variables.set(name, value);
  };
  for (const { text } of units) {
    for (const [key, value] of serviceLines(text)) {
      if (key === "ExecStart") command = value;
      if (key === "Environment") for (const word of wordsOf(value)) set(variables, word);
      if (key === "EnvironmentFile") await take(value.replace(/^-/, ""));
    }
  }
  if (command === "") {
    for (const file of flagFiles) await take(file);
    const flags = flagVariables.flatMap((name) => wordsOf(variables.get(name) ?? ""));
    return { program: undefined, flags, files: read };
  }
  const [program = "", ...flags] = expanded(command.replace(/^[-@:+!|]+/, ""), variables);
  return { program, flags, files: [...units, ...read] };
}

/** The unit and its drop-ins in the order in which they count. */
async function unitFiles(host: Host): Promise<FlagFile[]> {
  const found: FlagFile[] = [];
  const dropIns = new Map<string, string>();
  for (const folder of unitFolders) {
    const file = path.join(folder, "kubelet.service");
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

async function textOf(host: Host, file: string): Promise<string | undefined> {
  return host.text(file).catch(() => undefined); // a folder, or not for us
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
function assignments(text: string): [string, string][] {
  const found: [string, string][] = [];
  for (const [, name = "", value = ""] of text.matchAll(/^\s*(?:export\s+)?(\w+)=(.*)$/gm))
    found.push([name, value.trim().replace(/^(["'])(.*)\1$/, "$2")]);
  return found;
}

function set(variables: Map<string, string>, word: string): void {
  const at = word.indexOf("=");
  if (at > 0) variables.set(word.slice(0, at), word.slice(at + 1));
}

/** `$NAME` as a word of its own becomes as many words as it holds, `${NAME}` stays in its word. */
function expanded(command: string, variables: ReadonlyMap<string, string>): string[] {
  return wordsOf(command).flatMap((word) => {
    const alone = /^\$(\w+)$/.exec(word)?.[1];
    if (alone !== undefined) return wordsOf(variables.get(alone) ?? "");
    return [word.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => variables.get(name) ?? "")];
  });
}

function wordsOf(text: string): string[] {
  return (text.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? []).map((word) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, "$1$2"),
  );
}
