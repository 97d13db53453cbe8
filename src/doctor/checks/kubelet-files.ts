// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { isRecord } from "../../base/is-record.ts";
import { shellWord } from "../../base/shell-word.ts";
import { type KubeletFacts, pathOf } from "../facts/kubelet.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding } from "../finding.ts";
import type { Host } from "../host.ts";
import { inFlags } from "./kubelet-flags.ts";
import { removeKeys } from "./kubelet-key.ts";

const kubeconfig = "/etc/kubernetes/kubelet.conf";

/** Files that a kubelet's settings name and without which it does not start. */
export async function kubeletFiles(host: Host, kubelet: KubeletFacts): Promise<Finding[]> {
  const found: Finding[] = [];
  const why = "the kubelet does not start";
  const authority = authorityOf(kubelet);
  if (authority !== undefined && !(await host.has(authority))) {
    // The cluster's authority, which also signs who may ask the kubelet, is in the kubelet's own kubeconfig.
    const isHeld = /^\s*certificate-authority-data:/m.test((await host.text(kubeconfig)) ?? "");
    const place = shellWord(authority);
    const mend = isHeld
      ? `mkdir -p ${shellWord(path.dirname(authority))} && sed -n 's/^ *certificate-authority-data: *//p' ${kubeconfig} | head -n 1 | base64 -d >${place} && systemctl restart kubelet`
      : `cp THE-CLUSTER-AUTHORITY ${place} && systemctl restart kubelet # on a control plane it is /etc/kubernetes/pki/ca.crt`;
    found.push(
      error({ what: `the kubelet's clientCAFile, ${authority}, is not there`, why, mend }),
    );
  }
  for (const [flag, key] of [
    ["tls-cert-file", "tlsCertFile"],
    ["tls-private-key-file", "tlsPrivateKeyFile"],
  ] as const) {
    const file = pathOf(kubelet, flag, kubelet.settings[key]);
    if (file === undefined || (await host.has(file))) continue;
    const mend = `${withoutTls(kubelet)} # it then makes a certificate of its own`;
    found.push(error({ what: `the kubelet's ${key}, ${file}, is not there`, why, mend }));
  }
  return found;
}

function authorityOf(kubelet: KubeletFacts): string | undefined {
  const { authentication } = kubelet.settings;
  const x509 = isRecord(authentication) ? authentication["x509"] : undefined;
  const set = isRecord(x509) ? x509["clientCAFile"] : undefined;
  return pathOf(kubelet, "client-ca-file", set);
}

function withoutTls(kubelet: KubeletFacts): string {
  if (flagOf(kubelet.flags, "tls-cert-file") !== undefined)
    return inFlags(`s# ?--tls-(cert|private-key)-file[= ][^ "]*##g`, "--tls-", kubelet);
  return removeKeys(kubelet, "tls(Cert|PrivateKey)File");
}
