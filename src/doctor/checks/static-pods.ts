// SPDX-License-Identifier: Apache-2.0
import { toFault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { shellWord } from "../../base/shell-word.ts";
import { parseYaml } from "../../cri/oci-spec/parse-yaml.ts";
import { type KubeletFacts, pathOf } from "../facts/kubelet.ts";
import { error, type Finding, note, warning } from "../finding.ts";
import type { Host } from "../host.ts";

const mostManifests = 200;

/** The manifests of static pods: the kubelet reads each file of the folder, whatever its name ends with. */
export async function staticPods(host: Host, kubelet: KubeletFacts): Promise<Finding[]> {
  const folder = pathOf(kubelet, "pod-manifest-path", kubelet.settings["staticPodPath"]);
  if (folder === undefined) return [];
  const found: Finding[] = [];
  const known = new Map<string, string>();
  for (const name of (await host.names(folder).catch(() => [])).slice(0, mostManifests)) {
    const file = `${folder}/${name}`;
    if (name.startsWith(".") || (await host.stat(file))?.isFile() !== true) continue;
    const { pod, problem, isOther } = podIn(await host.text(file).catch(() => ""));
    if (isOther === true) {
      found.push(
        note({
          what: `${file} is no static pod`,
          why: "the kubelet reads all files of the folder, and complains of this one time and again",
          mend: `mv ${shellWord(file)} /root/`,
        }),
      );
    } else if (problem !== "") {
      found.push(
        error({
          what: `the static pod's manifest ${file} cannot be used: ${problem}`,
          why: "its pod is not started, and one that runs goes on as it was",
          mend: `vi ${shellWord(file)}`,
        }),
      );
    }
    if (pod === undefined) continue;
    const other = known.get(pod);
    known.set(pod, other ?? file);
    if (other === undefined) continue;
    const spare = [other, file].toSorted(byEnding).at(-1) ?? file;
    found.push(
      warning({
        what: `${other} and ${file} are both the static pod ${pod}`,
        why: "the kubelet reads all files of the folder, copies and backups too: which of them runs is chance, and what is changed in the other one does nothing",
        mend: `mv ${shellWord(spare)} /root/`,
      }),
    );
  }
  return found;
}

/** Those that are called as manifests are come first. */
function byEnding(one: string, other: string): number {
  const isOdd = (file: string): number => Number(!/\.(ya?ml|json)$/.test(file));
  return isOdd(one) - isOdd(other) || one.length - other.length;
}

interface Manifest {
  /** NAMESPACE/NAME; undefined where it cannot be told. */
  readonly pod?: string;
  /** Why the kubelet does not start it; "" where it does. */
  readonly problem: string;
  /** It was not meant for a pod. */
  readonly isOther?: boolean;
}

/** As the kubelet reads it. */
function podIn(text = ""): Manifest {
  try {
    const manifest = parseYaml(text, { isLenient: true });
    if (typeof manifest === "string") return { problem: "", isOther: true };
    if (!isRecord(manifest)) return { problem: "it is empty" };
    if (manifest["kind"] !== "Pod") return { problem: "", isOther: true };
    const { metadata, spec } = manifest;
    const { name, namespace } = isRecord(metadata) ? metadata : {};
    if (typeof name !== "string" || name === "") return { problem: "its pod has no name" };
    const containers = isRecord(spec) ? spec["containers"] : undefined;
    if (!Array.isArray(containers) || containers.length === 0)
      return { problem: "its pod has no containers" };
    return { pod: `${typeof namespace === "string" ? namespace : "default"}/${name}`, problem: "" };
  } catch (thrown) {
    return /^kind:\s*["']?Pod\b/m.test(text) || /^apiVersion:/m.test(text)
      ? { problem: toFault(thrown).message }
      : { problem: "", isOther: true };
  }
}
