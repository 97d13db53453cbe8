// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import { errnoOf, fault } from "../base/errors.ts";
import type { FlagFile } from "../doctor/facts/unit.ts";
import { type Edit, flagIn, parsedTable, textOf } from "./edit.ts";

/** What runs the kubelet: a service of its own, or a distribution's program that holds it, most of them with a containerd. */
export type NodeKind = "kubelet" | "k3s" | "rke2" | "k0s" | "microk8s";

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

/** Whether the runtime of before has a service beside the kubelet's. */
export function hasOwnRuntime(kind: NodeKind): boolean {
  return kind === "kubelet" || kind === "microk8s";
}

/** The socket's path. */
export function pathOf(endpoint: string): string {
  return endpoint.replace(/^unix:(\/\/)?/, "");
}

export function keyEdit(
  file: string,
  name: string,
  before: string | undefined,
  after: string,
): Edit {
  return { file, kind: "key", name, before, after };
}

/** Of a flag, wherever it stands but in what an earlier migration made; the files are named as within the node's root. */
export function flagEditsIn(files: readonly FlagFile[], name: string, after: string): Edit[] {
  return files.flatMap(({ file, text }) => {
    const before = isOwnDropIn(file) ? undefined : flagIn(text, name);
    return before === undefined ? [] : [{ file, kind: "flag", name, before, after }];
  });
}

/** A drop-in of ours that gives a service another command. It comes last. */
export function commandEdit(service: string, root: string, command: string): Edit {
  return {
    file: `${root}/etc/systemd/system/${service}.service.d/${ownDropIn}`,
    kind: "file",
    name: "",
    before: undefined,
    after: `# made by berth migrate\n[Service]\nExecStart=\nExecStart=${command}\n`,
  };
}

const ownDropIn = "zz-berth.conf";

/** Whether a file is one that `commandEdit` makes, or made before it came last. */
function isOwnDropIn(file: string): boolean {
  return /\/(zz-)?berth\.conf$/.test(file);
}

export async function keyIn(file: string, key: string): Promise<string | undefined> {
  const text = await textOf(file);
  const value = text === undefined ? undefined : parsedTable(file, text)[key];
  if (value !== undefined && typeof value !== "string") {
    throw fault("FAILED_PRECONDITION", `${file}: ${key} is no text`);
  }
  return value;
}

export async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).toSorted();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) return [];
    throw error;
  }
}
