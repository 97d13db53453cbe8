// SPDX-License-Identifier: Apache-2.0
import { isRecord } from "../../base/is-record.ts";
import { type KubeletFacts, settingOf } from "../facts/kubelet.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding } from "../finding.ts";
import type { Host } from "../host.ts";
import { inFlags } from "./kubelet-flags.ts";

const kubeconfig = "/etc/kubernetes/kubelet.conf";

/** Files that a kubelet's settings name and without which it does not start. */
export async function kubeletFiles(host: Host, kubelet: KubeletFacts): Promise<Finding[]> {
  const found: Finding[] = [];
  const why = "the kubelet does not start";
  const authority = authorityOf(kubelet);
  if (authority !== undefined && !(await host.has(authority))) {
    // The cluster's authority, which also signs who may ask the kubelet, is in the kubelet's own kubeconfig.
    const isHeld = /^\s*certificate-authority-data:/m.test((await host.text(kubeconfig)) ?? "");
    const mend = isHeld
      ? `mkdir -p ${authority.replace(/\/[^/]*$/, "")} && sed -n 's/^ *certificate-authority-data: *//p' ${kubeconfig} | head -n 1 | base64 -d >${authority} && systemctl restart kubelet`
      : `cp THE-CLUSTER-AUTHORITY '${authority}' && systemctl restart kubelet # on a control plane it is /etc/kubernetes/pki/ca.crt`;
    found.push(
      error({ what: `the kubelet's clientCAFile, ${authority}, is not there`, why, mend }),
    );
  }
  for (const [flag, key] of [
    ["tls-cert-file", "tlsCertFile"],
    ["tls-private-key-file", "tlsPrivateKeyFile"],
  ] as const) {
    const file = settingOf(kubelet, flag, key);
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
  const file = flagOf(kubelet.flags, "client-ca-file") ?? set;
  return typeof file === "string" && file.startsWith("/") ? file : undefined;
}

function withoutTls(kubelet: KubeletFacts): string {
  if (flagOf(kubelet.flags, "tls-cert-file") !== undefined)
    return inFlags(`s# ?--tls-(cert|private-key)-file[= ][^ "]*##g`, "--tls-", kubelet);
  return `sed -i '/^tls\\(Cert\\|PrivateKey\\)File:/d' ${kubelet.file ?? "/var/lib/kubelet/config.yaml"} && systemctl restart kubelet`;
}
