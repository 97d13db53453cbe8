// SPDX-License-Identifier: Apache-2.0
import { isRecord } from "../../base/is-record.ts";
import { shellWord } from "../../base/shell-word.ts";
import { type KubeletFacts, settingOf } from "../facts/kubelet.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding } from "../finding.ts";
import type { Host } from "../host.ts";

const managers = [
  { file: "cpu_manager_state", key: "cpuManagerPolicy", flag: "cpu-manager-policy", usual: "none" },
  {
    file: "memory_manager_state",
    key: "memoryManagerPolicy",
    flag: "memory-manager-policy",
    usual: "None",
  },
] as const;

/** What the kubelet keeps of which pod has which processors, by the policy of then. */
export async function kubeletCheckpoints(host: Host, kubelet: KubeletFacts): Promise<Finding[]> {
  const folder = flagOf(kubelet.flags, "root-dir") ?? "/var/lib/kubelet";
  const found: Finding[] = [];
  for (const { file, key, flag, usual } of managers) {
    const place = `${folder}/${file}`;
    const kept = policyIn(await host.text(place).catch(() => undefined));
    const wanted = settingOf(kubelet, flag, key) ?? usual;
    if (kept === undefined || kept === wanted) continue;
    found.push(
      error({
        what: `the kubelet's ${key} is ${wanted}, and ${place} was written with ${kept}`,
        why: "the kubelet does not start: `could not restore state from checkpoint`",
        mend: `rm ${shellWord(place)} && systemctl restart kubelet # pods of the Guaranteed kind are given processors anew: drain the node before where that matters`,
      }),
    );
  }
  return found;
}

function policyIn(text: string | undefined): string | undefined {
  try {
    const state: unknown = JSON.parse(text ?? "");
    if (!isRecord(state)) return undefined;
    // Newer kubelets write the whole into a text, and for older ones what those know beside it.
    const { data } = state;
    const inner: unknown = typeof data === "string" && data !== "" ? JSON.parse(data) : state;
    const policyName = isRecord(inner) ? inner["policyName"] : undefined;
    return typeof policyName === "string" && policyName !== "" ? policyName : undefined;
  } catch {
    return undefined;
  }
}
