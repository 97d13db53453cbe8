// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { labelField } from "../base/filter.ts";
import { checkIdentifier } from "../base/identifier.ts";
import type { ContainersContainer } from "../gen/containers.gen.ts";
import type { ProtoTimestamp } from "../gen/wellknown.gen.ts";
import { checkLabels, checkMask, maskedMap } from "../rpc/field-mask.ts";

/** What may change after a container was made; snapshotter and runtime may not. */
const mutable = ["labels", "spec", "extensions", "image", "snapshotkey"] as const;

/** INVALID_ARGUMENT names the first thing that is wrong with a record. */
export function checkContainer(container: ContainersContainer): void {
  checkIdentifier("container id", container.id);
  const what = `container "${container.id}"`;
  checkLabels(what, container.labels);
  for (const [name, extension] of Object.entries(container.extensions)) {
    if (name === "" || extension.type_url === "") {
      throw fault("INVALID_ARGUMENT", `${what} has an extension without name or type`);
    }
  }
  if (!container.runtime?.name) throw fault("INVALID_ARGUMENT", `${what} has no runtime`);
  if (!container.spec?.type_url) throw fault("INVALID_ARGUMENT", `${what} has no spec`);
  if (container.snapshotKey !== "" && container.snapshotter === "") {
    throw fault("INVALID_ARGUMENT", `${what} has a snapshot key, but no snapshotter`);
  }
}

/** The record after an update. Without a mask everything that may change is replaced. */
export function updatedContainer(
  before: ContainersContainer,
  update: ContainersContainer,
  paths: readonly string[],
  updatedAt: ProtoTimestamp | null,
): ContainersContainer {
  const what = `container "${before.id}"`;
  checkMask(what, paths, ["spec", "image", "snapshotkey"], ["labels", "extensions"]);
  if (paths.length === 0) {
    if (update.snapshotter !== before.snapshotter) throw isFixed(what, "snapshotter");
    if (update.runtime?.name !== before.runtime?.name) throw isFixed(what, "runtime");
  }
  const mask = paths.length === 0 ? mutable : paths;
  const after: ContainersContainer = {
    ...before,
    labels: maskedMap("labels", mask, before.labels, update.labels) ?? before.labels,
    extensions:
      maskedMap("extensions", mask, before.extensions, update.extensions) ?? before.extensions,
    spec: mask.includes("spec") ? update.spec : before.spec,
    image: mask.includes("image") ? update.image : before.image,
    snapshotKey: mask.includes("snapshotkey") ? update.snapshotKey : before.snapshotKey,
    updatedAt,
  };
  checkContainer(after);
  return after;
}

/** What filters see of a container. */
export function containerField(
  container: ContainersContainer,
  path: readonly string[],
): string | undefined {
  const [head, second] = path;
  if (head === "labels") return labelField(container.labels, path);
  if (head === "runtime") return second === "name" ? nonEmpty(container.runtime?.name) : undefined;
  if (path.length !== 1) return undefined;
  if (head === "id") return container.id;
  if (head === "image") return nonEmpty(container.image);
  if (head === "sandbox") return nonEmpty(container.sandbox);
  return undefined;
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

function isFixed(what: string, field: string): Error {
  return fault("INVALID_ARGUMENT", `cannot update ${what}: field "${field}" is fixed`);
}
