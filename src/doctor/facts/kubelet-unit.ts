// SPDX-License-Identifier: Apache-2.0
import type { Host } from "../host.ts";
import { assignments, type FlagFile, readUnit, textOf, wordsOf, wordsOfCommand } from "./unit.ts";

/** Where kubeadm and packages keep flags; units read them by EnvironmentFile=. */
export const usualFlagFiles = [
  "/var/lib/kubelet/kubeadm-flags.env",
  "/etc/default/kubelet",
  "/etc/sysconfig/kubelet",
];
const flagVariables = ["KUBELET_KUBEADM_ARGS", "KUBELET_EXTRA_ARGS"];

/** How the kubelet is started on this node. */
export interface KubeletUnit {
  /** undefined where no unit tells. */
  readonly program: string | undefined;
  /** The ExecStart= that counts, as it is written; "" where no unit tells. */
  readonly command: string;
  readonly flags: readonly string[];
  /** Where flags may stand: the unit, its drop-ins, and files of variables. */
  readonly files: readonly FlagFile[];
}

/** Reads systemd's unit with its drop-ins, as systemd would; without one the files that kubeadm and packages write. */
export async function readKubeletUnit(host: Host): Promise<KubeletUnit> {
  const unit = await readUnit(host, "kubelet");
  if (unit.command !== "") {
    const [program = "", ...flags] = wordsOfCommand(unit);
    const files = [...unit.files, ...unit.environmentFiles];
    return { program, command: unit.command, flags, files };
  }
  const files: FlagFile[] = [];
  const variables = new Map<string, string>();
  for (const file of usualFlagFiles) {
    const text = await textOf(host, file);
    if (text === undefined) continue;
    files.push({ file, text });
    for (const [name, value] of assignments(text)) variables.set(name, value);
  }
  const flags = flagVariables.flatMap((name) => wordsOf(variables.get(name) ?? ""));
  return { program: undefined, command: "", flags, files };
}
