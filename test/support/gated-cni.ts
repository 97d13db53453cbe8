// SPDX-License-Identifier: Apache-2.0
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { type CniNetwork, conflist } from "./cni.ts";

/** A network whose ADD can be made to hang for pods of one name, until the gate opens. */
export interface GatedNetwork {
  /** ADD of a pod whose name begins so hangs from now on. */
  close(podName: string): Promise<void>;
  open(): Promise<void>;
  /** How many ADDs hang now. */
  waiting(): Promise<number>;
}

/** Folder of the plugin, for `cni.bin_dirs`; made before the daemon starts. */
export async function writeGatePlugin(folder: string): Promise<string> {
  const bin = path.join(folder, "gate-bin");
  await mkdir(bin, { recursive: true });
  const plugin = path.join(bin, "gate");
  await writeFile(plugin, script(path.join(folder, "gate")));
  await chmod(plugin, 0o755);
  await mkdir(path.join(folder, "gate"), { recursive: true });
  return bin;
}

/** Chains the plugin behind the network's own. */
export async function gateNetwork(folder: string, network: CniNetwork): Promise<GatedNetwork> {
  const list = conflist(network) as { plugins: object[] };
  const file = path.join(network.confDir, `10-${network.name}.conflist`);
  await writeFile(file, JSON.stringify({ ...list, plugins: [...list.plugins, { type: "gate" }] }));
  const gate = path.join(folder, "gate");
  return {
    close: (podName) => writeFile(path.join(gate, "closed-for"), podName),
    open: () => rm(path.join(gate, "closed-for"), { force: true }),
    waiting: async () => {
      const text = await readFile(path.join(gate, "waiting"), "utf8").catch(() => "");
      return text.split("\n").filter((line) => line !== "").length;
    },
  };
}

/** Passes on the result before it; on ADD it waits as long as its pod is shut out. */
function script(gate: string): string {
  return `#!/bin/sh
config=$(cat)
case "$CNI_COMMAND" in
VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]}'; exit 0 ;;
ADD) ;;
*) exit 0 ;;
esac
gate='${gate}'
told=
while name=$(cat "$gate/closed-for" 2>/dev/null); do
  case "$CNI_ARGS" in *"K8S_POD_NAME=$name"*) ;; *) break ;; esac
  if [ -z "$told" ]; then echo "$CNI_CONTAINERID" >> "$gate/waiting"; told=1; fi
  sleep 0.2
done
printf '%s' "$config" | sed -e 's/.*"prevResult"://' -e 's/}$//'
`;
}
