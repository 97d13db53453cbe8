// SPDX-License-Identifier: Apache-2.0
import { readlink, stat } from "node:fs/promises";
import path from "node:path";
import { isRecord } from "../../base/is-record.ts";
import { run } from "../../base/process.ts";
import { parseYaml } from "../../cri/oci-spec/parse-yaml.ts";
import type { Host } from "../host.ts";
import { readKubeletUnit } from "./kubelet-unit.ts";
import { lastWordsOf } from "./last-words.ts";
import { commandLine, flagOf, type ProcessFacts } from "./processes.ts";
import type { FlagFile } from "./unit.ts";

export const usualFile = "/var/lib/kubelet/config.yaml";
const usualProgram = "/usr/bin/kubelet";
const versionMs = 5_000;

/** What the kubelet of the node is told: by its command line when it runs, else by its files. */
export interface KubeletFacts {
  /** undefined when it does not run. */
  readonly pid: number | undefined;
  /** "1.37"; undefined when it cannot be told. */
  readonly minor: number | undefined;
  readonly flags: readonly string[];
  /** Its configuration file, with the drop-ins over it. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** undefined when there is none. */
  readonly file: string | undefined;
  /** Files that cannot be read, each with why. */
  readonly problems: readonly string[];
  /** Where its flags may stand. */
  readonly flagFiles: readonly FlagFile[];
  /** Its unit's ExecStart=, as it is written; "" where no unit tells. */
  readonly command: string;
  /** What one that does not run has said of it; "" where nobody knows. */
  readonly lastWords: string;
}

export async function readKubelet(
  host: Host,
  processes: readonly ProcessFacts[],
): Promise<KubeletFacts | undefined> {
  const process = processes.find(({ name }) => name === "kubelet");
  const unit = await readKubeletUnit(host);
  const flags = process ? await commandLine(host, process) : unit.flags;
  const named = flagOf(flags, "config");
  const { settings, problems, found } = await settingsOf(host, named ?? usualFile, flags);
  if (process === undefined && !found && flags.length === 0) return undefined;
  return {
    pid: process?.pid,
    minor: await minorOf(
      host,
      process ? await exeOf(host, process) : installed(host, unit.program),
    ),
    flags,
    settings,
    flagFiles: unit.files,
    command: unit.command,
    lastWords: process === undefined && host.isOurs ? await lastWordsOf("kubelet") : "",
    file: found ? (named ?? usualFile) : undefined,
    problems: found || named === undefined ? problems : [`${named}: there is no such file`],
  };
}

/** What the kubelet goes by: the flag, else the key of its file. */
export function settingOf(
  { flags, settings }: KubeletFacts,
  flag: string,
  key: string,
): string | undefined {
  const setting = settings[key];
  return (
    flagOf(flags, flag) ?? (typeof setting === "string" && setting !== "" ? setting : undefined)
  );
}

/**
 * The same for a file. A relative one of the settings is found in the folder of the file that they stand in; undefined
 * where the folder cannot be told: of flags, and where drop-ins may have set it.
 */
export function pathOf(kubelet: KubeletFacts, flag: string, value: unknown): string | undefined {
  const given = flagOf(kubelet.flags, flag);
  const file = given ?? value;
  if (typeof file !== "string" || file === "") return undefined;
  if (file.startsWith("/")) return file;
  const isAnywhere = given !== undefined || flagOf(kubelet.flags, "config-dir") !== undefined;
  if (isAnywhere || kubelet.file?.startsWith("/") !== true) return undefined;
  return path.resolve(path.dirname(kubelet.file), file);
}

/** From this version on a kubelet asks the runtime for the cgroup driver. */
export const askingSince = 31;

/** The cgroup driver that a kubelet is set to, and whether it asks the runtime instead. */
export function driverOf(kubelet: KubeletFacts): {
  readonly driver: string;
  readonly asks: boolean;
} {
  return {
    driver: settingOf(kubelet, "cgroup-driver", "cgroupDriver") ?? "cgroupfs",
    asks: kubelet.minor !== undefined && kubelet.minor >= askingSince,
  };
}

/** Gates that are set, by flag or file. */
export function gatesOf({ flags, settings }: KubeletFacts): ReadonlyMap<string, boolean> {
  const set = new Map<string, boolean>();
  const table = settings["featureGates"];
  for (const [name, value] of isRecord(table) ? Object.entries(table) : [])
    set.set(name, value === true);
  for (const pair of (flagOf(flags, "feature-gates") ?? "").split(",")) {
    const [name = "", value = ""] = pair.split("=");
    if (name !== "") set.set(name, value === "true");
  }
  return set;
}

async function settingsOf(host: Host, file: string, flags: readonly string[]) {
  const problems: string[] = [];
  const read = async (one: string): Promise<Record<string, unknown> | undefined> => {
    try {
      const text = await host.text(one);
      if (text === undefined) return undefined;
      const parsed = parseYaml(text);
      if (isRecord(parsed)) return parsed;
      problems.push(`${one}: it is no table of settings`);
    } catch (error) {
      problems.push(`${one}: ${error instanceof Error ? error.message : String(error)}`);
    }
    return {};
  };
  const main = await read(file);
  let settings = main ?? {};
  const folder = flagOf(flags, "config-dir");
  for (const name of folder === undefined ? [] : await host.names(folder)) {
    if (name.endsWith(".conf")) settings = { ...settings, ...(await read(`${folder}/${name}`)) };
  }
  return { settings, problems, found: main !== undefined };
}

/**
 * What tells its version, and is run for that: a kubelet alone, since something else, such as a script that starts one, may do
 * anything. Nor one that somebody else than root runs.
 */
async function exeOf(host: Host, { pid }: ProcessFacts): Promise<string | undefined> {
  const place = `/proc/${pid}`;
  try {
    const { uid } = await stat(host.at(place));
    const program = (await readlink(host.at(`${place}/exe`))).replace(/ \(deleted\)$/, "");
    const isTrusted = uid === 0 || uid === process.getuid?.();
    return isTrusted && isKubelet(program) ? `${place}/exe` : undefined;
  } catch {
    return undefined; // it has ended
  }
}

/** The same for one that does not run: another system's is not run here. */
function installed(host: Host, program = usualProgram): string | undefined {
  return host.isOurs && isKubelet(program) ? program : undefined;
}

function isKubelet(program: string): boolean {
  return path.basename(program) === "kubelet";
}

async function minorOf(host: Host, program: string | undefined): Promise<number | undefined> {
  if (program === undefined) return undefined;
  try {
    const options = { timeoutMs: versionMs, maxOutputBytes: 65_536 };
    const { stdout } = await run(host.at(program), ["--version"], options);
    const minor = /^Kubernetes v1\.(\d+)/.exec(stdout.toString())?.[1];
    return minor === undefined ? undefined : Number(minor);
  } catch {
    return undefined;
  }
}
