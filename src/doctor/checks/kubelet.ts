// SPDX-License-Identifier: Apache-2.0
import { shellWord } from "../../base/shell-word.ts";
import type { Check } from "../check.ts";
import { type KubeletFacts, settingOf } from "../facts/kubelet.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding, ok, warning } from "../finding.ts";
import type { Host } from "../host.ts";
import type { Patient } from "../patient.ts";
import { kubeletCheckpoints } from "./kubelet-checkpoints.ts";
import { kubeletConf } from "./kubelet-conf.ts";
import { kubeletFiles } from "./kubelet-files.ts";
import { flagFindings, inFlags } from "./kubelet-flags.ts";
import { removeKeys, setKey } from "./kubelet-key.ts";
import { staticPods } from "./static-pods.ts";

/** What kubeadm has made a node with. */
const kubeadmFlags = "/var/lib/kubelet/kubeadm-flags.env";

export const kubelet: Check = {
  name: "kubelet",
  about: "the kubelet's settings: endpoint, flags, feature gates, swap, API server",
  run: async (patient, call) => {
    const facts = await patient.kubelet();
    if (facts === undefined) return [ok("there is no kubelet on this node")];
    const { host } = patient;
    const isKubeadm = await host.has(kubeadmFlags);
    const found = [
      ...(facts.pid === undefined ? [stopped(facts)] : []),
      ...facts.problems.map((what) => unreadable(what, isKubeadm)),
      // Of a file that cannot be read nobody knows what is in it.
      ...(facts.problems.length === 0 ? await endpointOf(patient, facts) : []),
      ...flagFindings(facts),
      ...(facts.problems.length === 0 ? await kubeletFiles(host, facts) : []),
      ...(facts.problems.length === 0 ? await kubeletCheckpoints(host, facts) : []),
      ...(facts.problems.length === 0 ? await staticPods(host, facts) : []),
      ...(await swapOf(host, facts)),
      ...(await kubeletConf(host, facts, call)),
    ];
    const version = facts.minor === undefined ? "" : ` 1.${facts.minor}`;
    return found.length > 0 ? found : [ok(`the kubelet${version} uses ${patient.socket}`)];
  },
};

function stopped({ lastWords }: KubeletFacts): Finding {
  const said = lastWords === "" ? "" : `; it has last said: ${lastWords}`;
  const why = "no pods are started on this node; what follows is said of its files";
  return warning({
    what: `the kubelet does not run${said}`,
    why,
    mend: "systemctl restart kubelet; journalctl -u kubelet -n 50 --no-pager",
  });
}

function unreadable(what: string, isKubeadm: boolean): Finding {
  const why = "the kubelet does not start with it";
  const file = what.split(":")[0] ?? "";
  return error({
    what: `kubelet's configuration: ${what}`,
    why,
    mend: isKubeadm
      ? "kubeadm upgrade node phase kubelet-config && systemctl restart kubelet"
      : `vi ${shellWord(file)} && systemctl restart kubelet`,
  });
}

async function swapOf(host: Host, { settings, flags }: KubeletFacts): Promise<Finding[]> {
  const isTold = flagOf(flags, "fail-swap-on") === "false" || settings["failSwapOn"] === false;
  const lines = ((await host.value("/proc/swaps")) ?? "").split("\n").slice(1);
  const places = lines.map((line) => line.split(/\s/)[0] ?? "").filter((one) => one !== "");
  if (isTold || places.length === 0) return [];
  return [
    error({
      what: `the node swaps to ${places.join(", ")}, and the kubelet is not told to accept it`,
      why: "the kubelet does not start: failSwapOn is true unless its configuration says otherwise",
      mend: "swapoff -a && sed -i -E '/^[^#].*[[:space:]]swap[[:space:]]/s/^/#/' /etc/fstab && systemctl restart kubelet",
    }),
  ];
}

async function endpointOf(
  { config, configuration, host, socket }: Patient,
  facts: KubeletFacts,
): Promise<Finding[]> {
  if (configuration.isUnread) return [];
  const ours = new Set([socket, ...config.grpc.also].map(canonical));
  const key = "containerRuntimeEndpoint";
  const endpoint = settingOf(facts, "container-runtime-endpoint", key);
  const flag = "container-runtime-endpoint";
  // A flag wins over the file.
  const set =
    flagOf(facts.flags, flag) === undefined
      ? await setKey(host, facts, key, `unix://${socket}`)
      : inFlags(`s#(--${flag}[= ])[^ "]*#\\1unix://${socket}#`, `--${flag}`, facts);
  const found: Finding[] = [];
  if (endpoint === undefined) {
    const why = "it looks for containerd, at /run/containerd/containerd.sock";
    if (!ours.has("/run/containerd/containerd.sock"))
      found.push(warning({ what: `the kubelet has no ${key}`, why, mend: set }));
  } else if (!ours.has(canonical(endpoint))) {
    const why = "its pods are another runtime's, and berthd has none of them";
    found.push(
      warning({ what: `the kubelet's ${key} is ${endpoint}, and not ${socket}`, why, mend: set }),
    );
  } else if (!endpoint.startsWith("unix://")) {
    const why = "an endpoint without a scheme is deprecated; some versions refuse it";
    found.push(
      warning({ what: `the kubelet's ${key} is ${endpoint}, without unix://`, why, mend: set }),
    );
  }
  const images = settingOf(facts, "image-service-endpoint", "imageServiceEndpoint");
  if (images !== undefined && !ours.has(canonical(images))) {
    const what = `the kubelet's imageServiceEndpoint is ${images}, and not ${socket}`;
    const why =
      "images are pulled by another runtime than the one that starts pods: no container can be created";
    const flag = "image-service-endpoint";
    const mend =
      flagOf(facts.flags, flag) === undefined
        ? removeKeys(facts, "imageServiceEndpoint")
        : inFlags(`s# ?--${flag}[= ][^ "]*##`, `--${flag}`, facts);
    found.push(error({ what, why, mend }));
  }
  return found;
}

/** The path, with /var/run as what it is. */
function canonical(endpoint: string): string {
  return endpoint.replace(/^unix:\/\//, "").replace(/^\/var\/run\//, "/run/");
}
