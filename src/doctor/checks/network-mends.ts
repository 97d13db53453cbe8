// SPDX-License-Identifier: Apache-2.0

import path from "node:path";
import { shellWord } from "../../base/shell-word.ts";
import type { LoadedConf } from "../../network/conf-dir.ts";
import { packageCommand } from "../package-command.ts";
import type { Patient } from "../patient.ts";

/** What the plugins' own project makes; network add-ons bring theirs themselves. */
const standard = new Set(
  "bandwidth bridge dhcp dummy firewall host-device host-local ipvlan loopback macvlan portmap ptp sbr static tap tuning vlan vrf".split(
    " ",
  ),
);
/** Where plugins are found that berthd is not told of. */
const elsewhere = [
  "/opt/cni/bin",
  "/usr/lib/cni",
  "/usr/libexec/cni",
  "/usr/lib/cni/bin",
  "/var/lib/rancher/k3s/data/cni",
];
const addOns =
  "calico-node|canal|cilium|flannel|weave-net|antrea-agent|aws-node|kube-router|multus|ovnkube-node|kindnet";
const kubeletConf = "/etc/kubernetes/kubelet.conf";
const example = "cni/10-berth.conflist";
/** The package's, and the checkout's. */
const examples = ["/usr/share/doc/berth/examples", "/opt/berth/deploy"];
const checkout = path.resolve(import.meta.dirname, "../../../deploy");

/** A network for the node: in a cluster its add-on writes it when its pod starts, elsewhere there is our example. */
export async function networkCommand({ host, config }: Patient): Promise<string> {
  if (await host.has(kubeletConf)) return restartAddOn();
  const target = `${config.cni.confDir}/${path.basename(example)}`;
  for (const folder of [...examples, checkout]) {
    const file = `${folder}/${example}`;
    if (await host.has(file)) return `install -D -m 644 ${shellWord(file)} ${shellWord(target)}`;
  }
  return "kubectl get pods -A -o wide | grep -E 'cilium|calico|flannel'";
}

/** For a plugin that none of the folders has. */
export async function missingPlugin(
  { host, config, configuration }: Patient,
  type: string,
  { file }: LoadedConf,
): Promise<string> {
  for (const folder of elsewhere) {
    if (config.cni.binDirs.includes(folder) || !(await host.has(`${folder}/${type}`))) continue;
    const all = [...config.cni.binDirs, folder].map((one) => JSON.stringify(one)).join(", ");
    const dropIns = configuration.file.replace(/[^/]*$/, "config.d");
    return `mkdir -p ${dropIns} && printf '[cni]\\nbin_dirs = [${all}]\\n' >${dropIns}/50-cni.toml && systemctl reload berthd`;
  }
  if (standard.has(type)) return packageCommand(host, "cni");
  if (await host.has(kubeletConf)) return restartAddOn();
  return `mv ${shellWord(file)} ${shellWord(`${file}.off`)}; berth doctor --only cni`;
}

/** For one that does not run. */
export async function anotherPlugin(
  { host }: Patient,
  type: string,
  file: string,
): Promise<string> {
  if (!standard.has(type))
    return `mv ${shellWord(file)} ${shellWord(`${file}.broken`)}; ${restartAddOn()}`;
  const install = await packageCommand(host, "cni");
  return file.includes("/usr/lib/cni/")
    ? install
    : `mv ${shellWord(file)} ${shellWord(`${file}.broken`)}; ${install}`;
}

/** As the node itself, which may end its own pods: a new one puts file and plugin where they belong. */
function restartAddOn(): string {
  const ask = `kubectl --kubeconfig ${kubeletConf}`;
  const list = `${ask} get pods -A --field-selector spec.nodeName="$(hostname)" --no-headers`;
  return `${list} | awk '$2 ~ /${addOns}/ { print $1, $2 }' | while read -r namespace pod; do ${ask} -n "$namespace" delete pod "$pod"; done`;
}
