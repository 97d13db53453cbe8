// SPDX-License-Identifier: Apache-2.0

import { stat } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { toFault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { shellWord } from "../../base/shell-word.ts";
import { type LoadedConf, loadConfDir } from "../../network/conf-dir.ts";
import { findPlugin, runPlugin } from "../../network/exec.ts";
import type { Check } from "../check.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";
import { countFindings } from "./address-count.ts";
import { anotherPlugin, missingPlugin, networkCommand } from "./network-mends.ts";
import { rangeFindings } from "./network-ranges.ts";

const answerMs = 3_000;

export const networks: Check = {
  name: "cni",
  about: "the pods' networks: CNI configuration and plugins",
  needsConfig: true,
  run: async (patient, call) => {
    const { host, config } = patient;
    const { confDir, maxConfNum } = config.cni;
    await host.reach(confDir);
    const { networks: used, problems } = await loadConfDir(host.at(confDir), maxConfNum);
    const network = await networkCommand(patient);
    const found = problems.map((what) => bad(what, used.length === 0, network));
    if (used.length === 0 && problems.length === 0) found.push(none(confDir, network));
    const all = maxConfNum === 0 ? used : (await loadConfDir(host.at(confDir), 0)).networks;
    const types = new Map<string, LoadedConf>();
    for (const one of used)
      for (const type of one.plugins.flatMap(programsOf)) types.set(type, types.get(type) ?? one);
    const plugins: Finding[] = [];
    for (const [type, one] of types) plugins.push(...(await pluginOf(patient, type, one, call)));
    const isUsable = plugins.every(({ level }) => level !== "error");
    for (const one of all.slice(used.length)) found.push(unused(one, used[0], isUsable));
    const ranges = await rangeFindings(patient, used);
    return [...found, ...plugins, ...ranges, ...(await countFindings(patient, used))];
  },
};

/** A plugin that runs another one, which runs another one: deeper ones are nobody's. */
const mostDelegates = 4;

/** A plugin's own program, that which gives it addresses, and those of the plugins that it runs in its stead. */
function programsOf({ type, raw }: LoadedConf["plugins"][number]): string[] {
  return [type, ...calledBy(raw, mostDelegates)];
}

function calledBy(raw: Readonly<Record<string, unknown>>, depth: number): string[] {
  const { ipam, delegate, delegates } = raw;
  const giver = isRecord(ipam) ? nameIn(ipam) : [];
  const others = depth === 0 ? [] : [delegate, ...(Array.isArray(delegates) ? delegates : [])];
  return [
    ...giver,
    ...others.filter(isRecord).flatMap((one) => [...nameIn(one), ...calledBy(one, depth - 1)]),
  ];
}

function nameIn({ type }: Readonly<Record<string, unknown>>): string[] {
  return typeof type === "string" && /^[^/]+$/.test(type) ? [type] : [];
}

function none(confDir: string, network: string): Finding {
  return error({
    what: `there is no CNI configuration in ${confDir}`,
    why: "the node is NetworkReady=false: only pods on the host's network start. A cluster's network add-on writes it",
    mend: network,
  });
}

function bad(what: string, isOnly: boolean, network: string): Finding {
  const file = /"(\/[^"]+)"/.exec(what)?.[1];
  const why = isOnly
    ? "no network can be used: only pods on the host's network start"
    : "the file is passed over, and another one is used";
  const aside = file === undefined ? "" : `mv ${shellWord(file)} ${shellWord(`${file}.off`)}`;
  if (!isOnly) return warning({ what, why, mend: aside });
  return error({ what, why, mend: [aside, network].filter((one) => one !== "").join("; ") });
}

function unused(
  { file, name }: LoadedConf,
  first: LoadedConf | undefined,
  isUsable: boolean,
): Finding {
  const what = `network ${name} of ${file} is not used: [cni] max_conf_num is reached with ${first?.file ?? "others"}`;
  // It may be the one that is meant.
  if (!isUsable) {
    const why = `it takes the place of the other one, which cannot be used, when ${first?.file} is put aside`;
    return note({ what, why, mend: "" });
  }
  return note({
    what,
    why: "what an earlier network add-on left behind can take the place of the one that is meant, when names change",
    mend: `mv ${shellWord(file)} ${shellWord(`${file}.off`)}`,
  });
}

async function pluginOf(
  patient: Patient,
  type: string,
  network: LoadedConf,
  call: Cancellable,
): Promise<Finding[]> {
  const { host, config } = patient;
  const binDirs = config.cni.binDirs.map((folder) => host.at(folder));
  for (const folder of config.cni.binDirs) await host.reach(folder);
  const what = { type, network: network.name, binDirs };
  let file: string;
  try {
    file = await findPlugin(what);
  } catch (thrown) {
    const inert = await notExecutable(binDirs, type);
    const why = `no pod gets an address of network ${network.name}`;
    const mend =
      inert === undefined
        ? await missingPlugin(patient, type, network)
        : `chmod 755 ${shellWord(inert)}`;
    const said = inert === undefined ? toFault(thrown).message : `${inert} is not executable`;
    return [error({ what: said, why, mend })];
  }
  try {
    const { cniVersion } = network;
    const asked = {
      ...what,
      command: "VERSION" as const,
      input: { cniVersion },
      timeoutMs: answerMs,
    };
    const { supportedVersions } = (await runPlugin(asked, call)) as { supportedVersions?: unknown };
    const known = Array.isArray(supportedVersions) ? supportedVersions : [];
    if (known.length === 0 || known.includes(cniVersion)) return [ok(`CNI plugin ${file}`)];
    return [
      error({
        what: `CNI plugin ${file} does not speak ${cniVersion}, which ${network.file} asks for`,
        why: "it refuses each pod",
        mend: `upgrade the plugin, or set "cniVersion": "${String(known.at(-1))}" in ${network.file}`,
      }),
    ];
  } catch (thrown) {
    call.signal.throwIfAborted();
    return [
      error({
        what: `CNI plugin ${file} does not run: ${toFault(thrown).message}`,
        why: `no pod gets an address of network ${network.name}: the file is damaged, or for another kind of machine`,
        mend: await anotherPlugin(patient, type, file),
      }),
    ];
  }
}

async function notExecutable(
  folders: readonly string[],
  type: string,
): Promise<string | undefined> {
  for (const folder of folders) {
    const file = path.join(folder, type);
    if ((await stat(file).catch(() => undefined))?.isFile() === true) return file;
  }
  return undefined;
}
