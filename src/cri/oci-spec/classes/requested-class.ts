// SPDX-License-Identifier: Apache-2.0

/** What shares of the machine's caches (RDT) and disks (blockio) a container gets, by a class's name. */
export type ClassKind = "rdt" | "blockio";

/** Stands for no class, in annotations of pods whose namespace or policy would give one. */
const noClass = "system/default";

export interface ClassRequest {
  readonly container: string;
  readonly containerAnnotations: Readonly<Record<string, string>>;
  readonly podAnnotations: Readonly<Record<string, string>>;
}

export interface RequestedClass {
  readonly name: string;
  /** The annotation that asks for it. */
  readonly annotation: string;
}

/**
 * The class a container asks for; undefined for none. The container's own annotation
 * `io.kubernetes.cri.KIND-class` wins over the pod's for this container, and that over the pod's for all
 * of them. An empty value is an answer, too: no class.
 */
export function requestedClass(kind: ClassKind, request: ClassRequest): RequestedClass | undefined {
  const { container, containerAnnotations, podAnnotations } = request;
  const stem = `${kind}.resources.beta.kubernetes.io/`;
  const places = [
    { annotation: `io.kubernetes.cri.${kind}-class`, from: containerAnnotations },
    { annotation: `${stem}container.${container}`, from: podAnnotations },
    { annotation: `${stem}pod`, from: podAnnotations },
  ];
  for (const { annotation, from } of places) {
    if (!Object.hasOwn(from, annotation)) continue;
    const name = from[annotation] ?? "";
    return name === "" || name === noClass ? undefined : { name, annotation };
  }
  return undefined;
}
