// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { fault } from "../base/errors.ts";
import { driverOf, type KubeletFacts, settingOf } from "../doctor/facts/kubelet.ts";
import { usualFlagFiles } from "../doctor/facts/kubelet-unit.ts";
import { flagOf } from "../doctor/facts/processes.ts";
import { isOfPackage, wordsOf } from "../doctor/facts/unit.ts";
import { type Edit, textOf } from "./edit.ts";
import {
  commandEdit,
  flagEditsIn,
  keyEdit,
  keyIn,
  type NodeSetting,
  namesIn,
  pathOf,
} from "./node-setting.ts";

const containerdSocket = "/run/containerd/containerd.sock";

/** Of a kubelet with a service of its own, as kubeadm and the images of clouds have it. */
export async function kubeletSetting(
  ourEndpoint: string,
  root: string,
  facts: KubeletFacts | undefined,
): Promise<NodeSetting> {
  if (facts === undefined) {
    throw fault(
      "NOT_FOUND",
      "there is no kubelet on this machine, and no configuration of one in /var/lib/kubelet",
    );
  }
  if (facts.problems.length > 0) {
    throw fault(
      "FAILED_PRECONDITION",
      `the kubelet's configuration cannot be read: ${facts.problems.join("; ")}`,
    );
  }
  const endpoint =
    settingOf(facts, "container-runtime-endpoint", "containerRuntimeEndpoint") ?? containerdSocket;
  const value = `unix://${ourEndpoint}`;
  const edits: Edit[] = [];
  const names = [
    ["container-runtime-endpoint", "containerRuntimeEndpoint"],
    ["image-service-endpoint", "imageServiceEndpoint"],
  ] as const;
  const main = facts.file ?? "/var/lib/kubelet/config.yaml";
  const given = names.map(([flag]) => flag).filter((one) => flagOf(facts.flags, one) !== undefined);
  edits.push(...(await flagEdits(given, value, { facts, root })));
  for (const [flag, key] of names) {
    if (given.includes(flag)) continue;
    const isImages = key === "imageServiceEndpoint";
    const files = [main, ...(await dropIns(flagOf(facts.flags, "config-dir"), root))];
    const having: Edit[] = [];
    for (const file of files) {
      const before = await keyIn(root + file, key);
      if (before !== undefined) having.push(keyEdit(root + file, key, before, value));
    }
    if (having.length === 0 && !isImages) having.push(keyEdit(root + main, key, undefined, value));
    edits.push(...having);
    if (isImages) continue;
    // What kubeadm merges into config.yaml when it writes that anew.
    const instance = `${root}/var/lib/kubelet/instance-config.yaml`;
    const before = await keyIn(instance, key);
    if (before !== undefined) edits.push(keyEdit(instance, key, before, value));
  }
  const oldEndpoint = pathOf(endpoint);
  const [, name = ""] =
    /(containerd|crio|cri-dockerd)[^/]*\.sock$/.exec(oldEndpoint.replace("/var/run/", "/run/")) ??
    [];
  const oldService = name === "cri-dockerd" ? "cri-docker" : name || undefined;
  const { driver, asks } = driverOf(facts);
  const cgroupDriver = asks ? undefined : driver;
  return { kind: "kubelet", service: "kubelet", oldService, oldEndpoint, edits, cgroupDriver };
}

/**
 * In the operator's files where they stand, all of them. A package's file is its package's, which would write it anew: the unit
 * gets a drop-in then, with flags that come last and so count.
 */
async function flagEdits(
  names: readonly string[],
  after: string,
  { facts, root }: { readonly facts: KubeletFacts; readonly root: string },
): Promise<Edit[]> {
  if (names.length === 0) return [];
  const files = [...facts.flagFiles];
  const places = new Set(files.map(({ file }) => file));
  for (const file of usualFlagFiles) {
    if (places.has(file)) continue;
    places.add(file);
    files.push({ file, text: (await textOf(root + file)) ?? "" });
  }
  const edits: Edit[] = [];
  const inDropIn: string[] = [];
  for (const name of names) {
    const having = flagEditsIn(files, name, after);
    if (having.length === 0) throw refused(name, places);
    if (having.some(({ file }) => isOfPackage(file))) inDropIn.push(name);
    else edits.push(...having.map((one) => ({ ...one, file: root + one.file })));
  }
  const [first] = inDropIn;
  if (first === undefined) return edits;
  const [program = ""] = wordsOf(facts.command);
  if (path.basename(program) !== "kubelet") throw refused(first, places);
  const flags = inDropIn.map((name) => `--${name}=${after}`);
  return [...edits, commandEdit("kubelet", root, `${facts.command} ${flags.join(" ")}`)];
}

function refused(name: string, files: ReadonlySet<string>): Error {
  return fault(
    "FAILED_PRECONDITION",
    `the kubelet is given --${name}, which can be changed in none of ${[...files].join(", ")}: take it out there, and set its key in the kubelet's configuration file`,
  );
}

async function dropIns(folder: string | undefined, root: string): Promise<readonly string[]> {
  if (folder === undefined) return [];
  const names = await namesIn(root + folder);
  return names.filter((one) => one.endsWith(".conf")).map((one) => `${folder}/${one}`);
}
