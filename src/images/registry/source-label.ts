// SPDX-License-Identifier: Apache-2.0
import type { Labels } from "../image-source.ts";
import type { Reference } from "../reference.ts";

/** containerd's label of a blob: the repositories of a registry that have given it, by commas. */
const prefix = "containerd.io/distribution.source.";
/** containerd's limit of a label, name and value together. */
const maxLabelBytes = 4096;

/** True when the labels say that the blob was read from this repository, by whoever may read it. */
export function isFrom(labels: Labels, { domain, repository }: Reference): boolean {
  return repositoriesOf(labels, domain).includes(repository);
}

/** The label that says so beside what it said before; the oldest entries give way when it is full. */
export function sourceLabel(labels: Labels, { domain, repository }: Reference): Labels {
  const name = `${prefix}${domain}`;
  const others = repositoriesOf(labels, domain).filter((one) => one !== repository);
  const all = [...others, repository];
  while (all.length > 1 && name.length + all.join(",").length > maxLabelBytes) all.shift();
  return { [name]: all.join(",") };
}

function repositoriesOf(labels: Labels, domain: string): string[] {
  const value = labels[`${prefix}${domain}`] ?? "";
  return value === "" ? [] : value.split(",");
}
