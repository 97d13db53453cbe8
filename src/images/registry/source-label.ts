// SPDX-License-Identifier: Apache-2.0
import type { Labels } from "../image-source.ts";
import type { Reference } from "../reference.ts";

/** containerd's label of a blob: the repositories of a registry that it came from, with commas between. */
const prefix = "containerd.io/distribution.source.";
/** containerd's limit of a label, name and value together. */
const maxLabelBytes = 4096;

/**
 * Whether the labels say that the blob came from this repository: a pull that may read the repository may read it.
 */
export function isFrom(labels: Labels, { domain, repository }: Reference): boolean {
  return repositoriesOf(labels, domain).includes(repository);
}

/** Whether the registry has given the blob, for whatever repository. */
export function isFromRegistry(labels: Labels, { domain }: Pick<Reference, "domain">): boolean {
  return repositoriesOf(labels, domain).length > 0;
}

/** The label with this repository added; the oldest entries are dropped when it is full. */
export function sourceLabel(labels: Labels, { domain, repository }: Reference): Labels {
  const name = `${prefix}${domain}`;
  const others = repositoriesOf(labels, domain).filter((one) => one !== repository);
  const all = [...others, repository];
  while (all.length > 1 && name.length + all.join(",").length > maxLabelBytes) all.shift();
  return { [name]: all.join(",") };
}

/** Of some labels those that tell where a blob came from. */
export function sourcesIn(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => name.startsWith(prefix)));
}

function repositoriesOf(labels: Labels, domain: string): string[] {
  const value = labels[`${prefix}${domain}`] ?? "";
  return value === "" ? [] : value.split(",");
}

/** Repositories of a registry that a blob came from, those first whose names are most like the given one. */
export function likelySources(labels: Labels, { domain, repository }: Reference): string[] {
  const own = repository.split("/");
  const likeness = (other: string): number => {
    const parts = other.split("/");
    const different = own.findIndex((part, at) => part !== parts[at]);
    return different < 0 ? own.length : different;
  };
  return repositoriesOf(labels, domain)
    .filter((one) => one !== repository)
    .toSorted((a, b) => likeness(b) - likeness(a));
}
