// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { flagOf } from "../doctor/facts/processes.ts";
import { isOfPackage, type Unit, wordsOfCommand } from "../doctor/facts/unit.ts";
import { type Edit, flagIn, parsedTable, textOf } from "./edit.ts";
import {
  commandEdit,
  flagEditsIn,
  keyEdit,
  keyIn,
  type NodeSetting,
  namesIn,
  pathOf,
} from "./node-setting.ts";

/** A service of a distribution's, as systemd has it. */
export interface Found {
  readonly kind: "k3s" | "rke2" | "k0s" | "microk8s";
  readonly service: string;
  readonly unit: Unit;
  readonly root: string;
  readonly ourEndpoint: string;
}

const socketOf = {
  k3s: "/run/k3s/containerd/containerd.sock",
  rke2: "/run/k3s/containerd/containerd.sock",
  k0s: "/run/k0s/containerd.sock",
} as const;

export function distributionSetting(found: Found): Promise<NodeSetting> {
  switch (found.kind) {
    case "k3s":
    case "rke2":
      return rancher(found, found.kind);
    case "k0s":
      return k0s(found);
    case "microk8s":
      return microk8s(found);
  }
}

async function rancher(found: Found, kind: "k3s" | "rke2"): Promise<NodeSetting> {
  const { service, unit, root, ourEndpoint } = found;
  const name = "container-runtime-endpoint";
  const after = `unix://${ourEndpoint}`;
  const words = wordsOfCommand(unit);
  if (words.some((word) => /^--docker(=|$)/.test(word) && word !== "--docker=false")) {
    throw fault("FAILED_PRECONDITION", `${fileOf(unit)} has --docker: take it out first`);
  }
  const ofVariable = unit.variables.get(`${kind.toUpperCase()}_CONFIG_FILE`) || undefined;
  const named = flagOf(words, "config") ?? ofVariable ?? `/etc/rancher/${kind}/config.yaml`;
  const main = `${root}${named}`;
  const dropIns = (await namesIn(`${main}.d`)).map((one) => `${main}.d/${one}`);
  const files = [main, ...dropIns.filter((one) => /\.ya?ml$/.test(one))];
  for (const file of files) {
    if (parsedTable(file, (await textOf(file)) ?? "")["docker"] !== true) continue;
    throw fault("FAILED_PRECONDITION", `${file} has docker: true: take it out first`);
  }
  // A flag wins over the file.
  const before = flagOf(words, name);
  const edits = before === undefined ? [] : flagEdits(found, name, after);
  if (before === undefined) {
    for (const file of files) {
      const set = await keyIn(file, name);
      if (set !== undefined) edits.push(keyEdit(file, name, set, after));
    }
    if (edits.length === 0) edits.push(keyEdit(main, name, undefined, after));
  }
  const oldEndpoint = pathOf(before ?? edits[0]?.before ?? socketOf[kind]);
  return { kind, service, oldService: undefined, oldEndpoint, edits };
}

async function k0s(found: Found): Promise<NodeSetting> {
  const { service, unit, root, ourEndpoint } = found;
  const name = "cri-socket";
  const after = `remote:unix://${ourEndpoint}`;
  if (unit.command === "") {
    throw fault("FAILED_PRECONDITION", `${fileOf(unit)} has no ExecStart`);
  }
  const before = flagOf(wordsOfCommand(unit), name);
  const edits =
    before === undefined
      ? [commandEdit(service, root, `${unit.command} --${name}=${after}`)]
      : flagEdits(found, name, after);
  const oldEndpoint = pathOf(before?.replace(/^[a-z]+:/, "") ?? socketOf.k0s);
  return { kind: "k0s", service, oldService: undefined, oldEndpoint, edits };
}

const snap = "/var/snap/microk8s";
const ofMicrok8s: Readonly<Record<string, string>> = {
  SNAP_COMMON: `${snap}/common`,
  SNAP_DATA: `${snap}/current`,
};

/** A file of flags, a line each; the containerd has a service of its own. */
async function microk8s({ service, root, ourEndpoint }: Found): Promise<NodeSetting> {
  const name = "container-runtime-endpoint";
  const file = `${root}${snap}/current/args/kubelet`;
  const before = flagIn((await textOf(file)) ?? "", name);
  if (before === undefined) {
    throw fault("FAILED_PRECONDITION", `${file} has no --${name}: add it, as microk8s writes it`);
  }
  const oldEndpoint = pathOf(
    before.replaceAll(/\$\{(\w+)\}/g, (whole, one: string) => ofMicrok8s[one] ?? whole),
  );
  const isOwn = oldEndpoint.startsWith(`${snap}/`);
  return {
    kind: "microk8s",
    service,
    oldService: isOwn ? "snap.microk8s.daemon-containerd" : undefined,
    oldEndpoint,
    edits: [{ file, kind: "flag", name, before, after: `unix://${ourEndpoint}` }],
  };
}

/** In the unit's files and those of its variables where they stand; where that is a package's, in a drop-in. */
function flagEdits({ service, unit, root }: Found, name: string, after: string): Edit[] {
  const having = flagEditsIn([...unit.files, ...unit.environmentFiles], name, after);
  if (having.length > 0 && !having.some(({ file }) => isOfPackage(file)))
    return having.map((one) => ({ ...one, file: root + one.file }));
  return [commandEdit(service, root, `${unit.command} --${name}=${after}`)];
}

function fileOf({ files }: Unit): string {
  return files[0]?.file ?? "";
}
