// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import { errnoOf, fault } from "../base/errors.ts";
import { driverOf, type KubeletFacts, readKubelet, settingOf } from "../doctor/facts/kubelet.ts";
import { flagOf, hostProcesses } from "../doctor/facts/processes.ts";
import { Host } from "../doctor/host.ts";
import { changedText, type Edit, flagIn, hasPlace, parsedTable, textOf } from "./edit.ts";

/** What runs the kubelet: a service of its own, or a distribution's program that holds it and a containerd. */
export type NodeKind = "kubelet" | "k3s" | "rke2" | "k0s";

/** How this node comes to another runtime. */
export interface NodeSetting {
  readonly kind: NodeKind;
  readonly service: string;
  readonly oldService: string | undefined;
  /** The socket's path. */
  readonly oldEndpoint: string;
  readonly edits: readonly Edit[];
  /** By which the kubelet goes, whatever its runtime says; undefined where it asks, or a distribution sees to it. */
  readonly cgroupDriver?: string | undefined;
}

export interface Wanted {
  /** Found out when it is left out. */
  readonly kind?: NodeKind | undefined;
  /** The path of Berth's socket. */
  readonly ourEndpoint: string;
}

/** Where distributions keep things. In tests it is another folder than "". */
export interface Places {
  readonly root: string;
}

const units = {
  k3s: ["k3s", "k3s-agent"],
  rke2: ["rke2-server", "rke2-agent"],
  k0s: ["k0sworker", "k0scontroller"],
} as const;
/** Names of what they run, as the kernel has them. */
const programs = {
  k3s: ["k3s", "k3s-server", "k3s-agent"],
  rke2: ["rke2"],
  k0s: ["k0s"],
} as const;
const unitFolders = [
  "/etc/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];
const containerdSocket = "/run/containerd/containerd.sock";
const socketOf = {
  k3s: "/run/k3s/containerd/containerd.sock",
  rke2: "/run/k3s/containerd/containerd.sock",
  k0s: "/run/k0s/containerd.sock",
} as const;

export async function readNodeSetting(wanted: Wanted, { root }: Places): Promise<NodeSetting> {
  const { kind: asked, ourEndpoint } = wanted;
  const host = new Host(root);
  const processes = await hostProcesses(host);
  const running = new Set(processes.map(({ name }) => name));
  for (const kind of ["k3s", "rke2", "k0s"] as const) {
    if (asked !== undefined && asked !== kind) continue;
    // A unit may be left over. k0s has a process of the name "kubelet" itself.
    const isLeft = running.has("kubelet") && !programs[kind].some((name) => running.has(name));
    if (asked === undefined && isLeft) continue;
    for (const service of units[kind]) {
      const unit = await unitFile(root, service);
      if (unit === undefined) continue;
      const found = { kind, service, unit, root, ourEndpoint };
      return kind === "k0s" ? k0s(found) : k3s(found);
    }
    if (asked === kind) {
      throw fault("NOT_FOUND", `there is no unit ${units[kind].join(" or ")} on this machine`);
    }
  }
  return ofKubelet(ourEndpoint, root, await readKubelet(host, processes));
}

async function ofKubelet(
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
  for (const [flag, key] of names) {
    if (flagOf(facts.flags, flag) !== undefined) {
      edits.push(...(await flagEdits(flagFiles, flag, value, root)));
      continue;
    }
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

/** Where a kubelet's flags come from, besides its unit, which is its package's. */
const flagFiles = [
  "/var/lib/kubelet/kubeadm-flags.env",
  "/etc/default/kubelet",
  "/etc/sysconfig/kubelet",
  "/etc/systemd/system/kubelet.service",
];

async function flagEdits(
  files: readonly string[],
  name: string,
  after: string,
  root: string,
): Promise<Edit[]> {
  const edits: Edit[] = [];
  const folder = "/etc/systemd/system/kubelet.service.d";
  const more = (await namesIn(root + folder)).map((one) => `${folder}/${one}`);
  for (const file of [...files, ...more]) {
    const before = flagIn((await textOf(root + file)) ?? "", name);
    if (before !== undefined) {
      edits.push({ file: root + file, kind: "flag", name, before, after });
    }
  }
  if (edits.length > 0) return edits;
  throw fault(
    "FAILED_PRECONDITION",
    `the kubelet is given --${name}, which is in none of ${[...files, `${folder}/*`].join(", ")}: take it out there, and set its key in the kubelet's configuration file`,
  );
}

interface Found {
  readonly kind: "k3s" | "rke2" | "k0s";
  readonly service: string;
  readonly unit: string;
  readonly root: string;
  readonly ourEndpoint: string;
}

async function k3s({ kind, service, unit, root, ourEndpoint }: Found): Promise<NodeSetting> {
  const name = "container-runtime-endpoint";
  const after = `unix://${ourEndpoint}`;
  const unitText = (await textOf(unit)) ?? "";
  if (/(?:\s|["'])--docker(?:["'\s=]|$)/m.test(unitText)) {
    throw fault("FAILED_PRECONDITION", `${unit} has --docker: take it out first`);
  }
  const main = `${root}${flagIn(unitText, "config") ?? `/etc/rancher/${kind}/config.yaml`}`;
  const dropIns = (await namesIn(`${main}.d`)).map((one) => `${main}.d/${one}`);
  const files = [main, ...dropIns.filter((one) => /\.ya?ml$/.test(one))];
  for (const file of files) {
    if (parsedTable(file, (await textOf(file)) ?? "")["docker"] !== true) continue;
    throw fault("FAILED_PRECONDITION", `${file} has docker: true: take it out first`);
  }
  const edits: Edit[] = [];
  // A flag wins over the file.
  for (const file of [unit, `${unit}.env`]) {
    const before = flagIn((await textOf(file)) ?? "", name);
    if (before !== undefined) edits.push({ file, kind: "flag", name, before, after });
  }
  if (edits.length === 0) {
    for (const file of files) {
      const before = await keyIn(file, name);
      if (before !== undefined) edits.push(keyEdit(file, name, before, after));
    }
    if (edits.length === 0) edits.push(keyEdit(main, name, undefined, after));
  }
  const oldEndpoint = pathOf(edits[0]?.before ?? socketOf[kind]);
  return { kind, service, oldService: undefined, oldEndpoint, edits };
}

async function k0s({ service, unit, root, ourEndpoint }: Found): Promise<NodeSetting> {
  const name = "cri-socket";
  const after = `remote:unix://${ourEndpoint}`;
  const text = (await textOf(unit)) ?? "";
  const before = flagIn(text, name);
  const file = `${root}/etc/systemd/system/${service}.service.d/berth.conf`;
  const command = /^ExecStart=(.*(?:\\\n.*)*)$/m.exec(text)?.[1];
  if (command === undefined) throw fault("FAILED_PRECONDITION", `${unit} has no ExecStart`);
  const dropIn = `# made by berth migrate\n[Service]\nExecStart=\nExecStart=${command} --${name}=${after}\n`;
  const edit: Edit =
    before === undefined
      ? { file, kind: "file", name: "", before: undefined, after: dropIn }
      : { file: unit, kind: "flag", name, before, after };
  const oldEndpoint = pathOf(before?.replace(/^[a-z]+:/, "") ?? socketOf.k0s);
  return { kind: "k0s", service, oldService: undefined, oldEndpoint, edits: [edit] };
}

function keyEdit(file: string, name: string, before: string | undefined, after: string): Edit {
  return { file, kind: "key", name, before, after };
}

async function keyIn(file: string, key: string): Promise<string | undefined> {
  const text = await textOf(file);
  const value = text === undefined ? undefined : parsedTable(file, text)[key];
  if (value !== undefined && typeof value !== "string") {
    throw fault("FAILED_PRECONDITION", `${file}: ${key} is no text`);
  }
  return value;
}

async function dropIns(folder: string | undefined, root: string): Promise<readonly string[]> {
  if (folder === undefined) return [];
  const names = await namesIn(root + folder);
  return names.filter((one) => one.endsWith(".conf")).map((one) => `${folder}/${one}`);
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).toSorted();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) return [];
    throw error;
  }
}

async function unitFile(root: string, service: string): Promise<string | undefined> {
  for (const folder of unitFolders) {
    const file = `${root}${folder}/${service}.service`;
    if ((await textOf(file)) !== undefined) return file;
  }
  return undefined;
}

/** The socket's path. */
export function pathOf(endpoint: string): string {
  return endpoint.replace(/^unix:(\/\/)?/, "");
}

/** Whether the files say that the node uses Berth already. */
export async function isSet({ edits }: Pick<NodeSetting, "edits">): Promise<boolean> {
  for (const edit of edits) {
    if (!(await hasPlace(edit))) return false;
    const text = await textOf(edit.file);
    if (changedText(edit, text, edit.after) !== text) return false;
  }
  return true;
}
