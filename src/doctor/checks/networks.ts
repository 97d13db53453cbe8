// SPDX-License-Identifier: Apache-2.0
import { stat } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { toFault } from "../../base/errors.ts";
import { type LoadedConf, loadConfDir } from "../../network/conf-dir.ts";
import { findPlugin, runPlugin } from "../../network/exec.ts";
import type { Check } from "../check.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";

const answerMs = 3_000;

export const networks: Check = {
  name: "cni",
  about: "the pods' networks: CNI configuration and plugins",
  run: async (patient, call) => {
    const { host, config } = patient;
    const { confDir, maxConfNum } = config.cni;
    await host.reach(confDir);
    const { networks: used, problems } = await loadConfDir(host.at(confDir), maxConfNum);
    const found = problems.map((what) => bad(what, used.length === 0));
    if (used.length === 0 && problems.length === 0) found.push(none(confDir));
    const all = maxConfNum === 0 ? used : (await loadConfDir(host.at(confDir), 0)).networks;
    for (const network of all.slice(used.length)) found.push(unused(network, used[0]));
    const types = new Map<string, LoadedConf>();
    for (const network of used)
      for (const { type } of network.plugins) types.set(type, types.get(type) ?? network);
    for (const [type, network] of types)
      found.push(...(await pluginOf(patient, type, network, call)));
    return found;
  },
};

function none(confDir: string): Finding {
  return error({
    what: `there is no CNI configuration in ${confDir}`,
    why: "the node is NetworkReady=false: only pods on the host's network start. A cluster's network add-on writes it",
    mend: "kubectl get pods -A -o wide | grep -E 'cilium|calico|flannel'",
  });
}

function bad(what: string, isOnly: boolean): Finding {
  const file = /"(\/[^"]+)"/.exec(what)?.[1];
  const why = isOnly
    ? "no network can be used: only pods on the host's network start"
    : "the file is passed over, and another one is used";
  const mend = file === undefined ? "ls -ld the folder" : `jq . '${file}'`;
  return isOnly ? error({ what, why, mend }) : warning({ what, why, mend });
}

function unused({ file, name }: LoadedConf, first: LoadedConf | undefined): Finding {
  return note({
    what: `network ${name} of ${file} is not used: [cni] max_conf_num is reached with ${first?.file ?? "others"}`,
    why: "what an earlier network add-on left behind can take the place of the one that is meant, when names change",
    mend: `rm '${file}'`,
  });
}

async function pluginOf(
  { host, config }: Patient,
  type: string,
  network: LoadedConf,
  call: Cancellable,
): Promise<Finding[]> {
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
        ? "apt-get install containernetworking-plugins, or add the folder that has it to [cni] bin_dirs"
        : `chmod 755 '${inert}'`;
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
        mend: `CNI_COMMAND=VERSION '${file}' </dev/null; apt-get install --reinstall containernetworking-plugins`,
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
