// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "../../base/cancellable.ts";
import { timeLimit } from "../../base/deadline.ts";
import { toFault } from "../../base/errors.ts";
import { readStart } from "../../base/read-bounded.ts";
import { shellWord } from "../../base/shell-word.ts";
import { shortened } from "../../base/shortened.ts";
import { cdiFolders } from "../../cri/oci-spec/cdi/cdi-registry.ts";
import { parseCdiSpec } from "../../cri/oci-spec/cdi/cdi-spec.ts";
import { pluginNameOfFile } from "../../nri/plugin-name.ts";
import { findPlugins } from "../../plugin/operator/find-plugins.ts";
import { connectLight } from "../../rpc/light/light-client.ts";
import type { Check } from "../check.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";

const mostFiles = 1000;
const answerMs = 5_000;
const wasmStart = Buffer.from([0, 0x61, 0x73, 0x6d]);

export const plugins: Check = {
  name: "plugins",
  about: "operator plugins, NRI plugins and CDI devices",
  needsConfig: true,
  run: async (patient, call) => {
    const found = [
      ...(await ofOperator(patient)),
      ...(await ofNri(patient)),
      ...(await silentNri(patient, call)),
      ...(await missingNri(patient)),
      ...(await ofDevices(patient)),
    ];
    return found.length > 0 ? found : [ok("plugins and device files can be used")];
  },
};

async function ofOperator({ host, config }: Patient): Promise<Finding[]> {
  const { dir, config: tables } = config.plugins;
  if (dir === "") return [];
  await host.reach(dir);
  return findPlugins(host.at(dir), Object.keys(tables)).flatMap(
    ({ name, file, error: problem }) => {
      if (problem === undefined) return [];
      const refuses = tables[name]?.onFailure !== "ignore";
      const trouble = {
        what: `operator plugin ${name}: ${problem.message}`,
        why: refuses
          ? "every pod is refused while it cannot be loaded"
          : "pods are made without it",
        mend:
          file === ""
            ? `remove [plugins.config.${name}], or put the file into ${dir}`
            : `chown root:root ${shellWord(dir)} ${shellWord(file)} && chmod go-w ${shellWord(dir)} ${shellWord(file)} && systemctl restart berthd`,
      };
      return [refuses ? error(trouble) : warning(trouble)];
    },
  );
}

async function ofNri({ host, config }: Patient): Promise<Finding[]> {
  const { enable, pluginPath } = config.nri;
  if (!enable || pluginPath === "") return [];
  const found: Finding[] = [];
  for (const name of (await host.names(pluginPath)).slice(0, mostFiles)) {
    const file = `${pluginPath}/${name}`;
    const facts = await host.stat(file);
    if (facts?.isFile() !== true) continue;
    const why = "it does not take part: containers are made without it";
    try {
      pluginNameOfFile(name);
    } catch (thrown) {
      found.push(
        warning({
          what: `${file}: ${toFault(thrown).message}`,
          why,
          mend: `mv ${shellWord(file)} ${shellWord(`${pluginPath}/10-${name}`)}`,
        }),
      );
      continue;
    }
    if ((facts.mode & 0o111) === 0)
      found.push(
        warning({ what: `${file} is not executable`, why, mend: `chmod 755 ${shellWord(file)}` }),
      );
    else if ((await readStart(host.at(file), wasmStart.length)).equals(wasmStart)) {
      const mend = "install the plugin as a program of this machine";
      found.push(warning({ what: `${file} is WebAssembly, which is not supported`, why, mend }));
    }
  }
  return found;
}

/** Those of the folder that berthd has started at its own start, and that have not come to take part. */
async function silentNri({ host, config, socket, ...patient }: Patient, call: Cancellable) {
  const { enable, pluginPath } = config.nri;
  const { state, info } = await patient.daemon();
  if (!enable || pluginPath === "" || state !== "up") return [];
  const files: string[] = [];
  for (const name of (await host.names(pluginPath)).slice(0, mostFiles)) {
    const facts = await host.stat(`${pluginPath}/${name}`);
    if (facts?.isFile() === true && (facts.mode & 0o111) !== 0 && isPluginName(name))
      files.push(name);
  }
  if (files.length === 0) return [];
  using connection = connectLight(host.at(socket));
  using limit = timeLimit(answerMs, call.signal);
  let known: readonly { readonly index: string; readonly name: string }[];
  try {
    ({ plugins: known } = await connection.client("berth.v1.Nri").List({ name: "" }, limit));
  } catch (thrown) {
    call.signal.throwIfAborted();
    const what = `berthd does not tell which NRI plugins take part: ${shortened(toFault(thrown).message, 400)}`;
    const why =
      "whether those of its folder do is not known; a berthd of an earlier version cannot tell";
    return [note({ what, why, mend: "" })];
  }
  const ids = new Set(known.map(({ index, name }) => `${index}-${name}`));
  const missing = info["missingNriPlugins"] ?? "";
  return files
    .filter((name) => !ids.has(name) && !missing.includes(JSON.stringify(name)))
    .map((name) =>
      warning({
        what: `the NRI plugin ${pluginPath}/${name} does not take part`,
        why: "it was put there after berthd's start, or could not be started, or has ended: containers are made without it",
        mend: `systemctl restart berthd; sleep 5; berth nri ls | grep -F ${shellWord(name.slice(3))} || { journalctl -u berthd -n 200 --no-pager | grep -F ${shellWord(name)}; mv ${shellWord(`${pluginPath}/${name}`)} ${shellWord(`${pluginPath}.${name}.off`)}; } # puts it aside where it cannot be started`,
      }),
    );
}

function isPluginName(file: string): boolean {
  try {
    pluginNameOfFile(file);
    return true;
  } catch {
    return false; // told elsewhere
  }
}

async function missingNri(patient: Patient): Promise<Finding[]> {
  const told = (await patient.daemon()).info["missingNriPlugins"];
  const missing =
    told === undefined
      ? []
      : (JSON.parse(told) as { readonly name: string; readonly reason: string }[]);
  return missing.map(({ name, reason }) =>
    error({
      what: `the required NRI plugin ${name} is not connected${reason === "" ? "" : `: ${reason}`}`,
      why: "no container is made without it",
      mend: "berth nri ls; kubectl get pods -A -o wide | grep nri",
    }),
  );
}

async function ofDevices({ host }: Patient): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const folder of cdiFolders) {
    const definedBy = new Map<string, string>();
    for (const name of (await host.names(folder)).slice(0, mostFiles)) {
      const file = `${folder}/${name}`;
      const format = name.endsWith(".json") ? "json" : name.endsWith(".yaml") ? "yaml" : undefined;
      if (format === undefined) {
        if (name.endsWith(".yml"))
          found.push(
            badDevices(
              `${file} is not read: its name must end in .yaml`,
              `mv ${shellWord(file)} ${shellWord(file.replace(/yml$/, "yaml"))}`,
            ),
          );
        continue;
      }
      try {
        const { kind, devices } = parseCdiSpec((await host.text(file)) ?? "", format);
        const twice = devices.map((one) => `${kind}=${one.name}`).find((one) => definedBy.has(one));
        if (twice !== undefined)
          found.push(
            badDevices(
              `${file} defines ${twice}, which ${definedBy.get(twice)} does, too`,
              `mv ${shellWord(file)} ${shellWord(`${file}.off`)}`,
            ),
          );
        else for (const one of devices) definedBy.set(`${kind}=${one.name}`, file);
      } catch (thrown) {
        found.push(
          badDevices(
            `${file}: ${toFault(thrown).message}`,
            `rm ${shellWord(file)}; make it anew, as by: nvidia-ctk cdi generate --output=${shellWord(file)}`,
          ),
        );
      }
    }
  }
  return found;
}

function badDevices(what: string, mend: string): Finding {
  return warning({ what, why: "containers that ask for its devices are refused", mend });
}
