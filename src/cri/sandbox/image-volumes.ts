// SPDX-License-Identifier: Apache-2.0
import { isUtf8 } from "node:buffer";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, toFault } from "../../base/errors.ts";
import { mountsHolding } from "../../base/os/mount-table.ts";
import { kindLabel } from "../../client/kind-label.ts";
import type { Mount } from "../../gen/cri.gen.ts";
import type { Image } from "../../images/ports.ts";
import { rootLabel } from "../../metadata/references.ts";
import { LayeredTree } from "../../oci/rootfs/layered-tree.ts";
import { mappingLabels } from "../../snapshots/mapping-labels.ts";
import type { PrepareOptions, SnapshotInfo, Snapshotter } from "../../snapshots/ports.ts";
import type { CriParts } from "../parts.ts";
import { criNamespace } from "../ports.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { absentAsUndefined } from "../task/purge-task.ts";
import { type HandlerNeeds, podMappings } from "./pod-handler.ts";

export type RemoveVolumesNeeds = Pick<CriParts, "hostMounts" | "images" | "paths" | "snapshotter">;
export type VolumeNeeds = HandlerNeeds &
  RemoveVolumesNeeds &
  Pick<CriParts, "operations" | "sandboxes">;

/** Snapshots of this kind belong to the sandbox that their other label names. */
export const imageVolumeKind = "image-volume";
const sandboxLabel = "io.berth.cri.sandbox";

/** By this word a kubelet knows what has failed, so it begins the message. */
const failed = "ImageVolumeMountFailed";

/**
 * The host path of a mount that names an image: the image's files, mounted read-only once for each
 * sandbox, or a folder or file in them. Links are followed inside the image only. NOT_FOUND when the
 * image or the sub path is not there, INVALID_ARGUMENT when the sub path leads out.
 */
export async function imageVolumePath(
  parts: VolumeNeeds,
  sandboxId: string,
  { image, imageSubPath }: Mount,
  call: Cancellable,
): Promise<string> {
  try {
    const name = image?.image ?? "";
    const found = parts.images.find(name);
    if (!found) throw fault("NOT_FOUND", `image "${name}" is not present on this node`);
    const folder = await mounted(parts, parts.sandboxes.require(sandboxId), found, call);
    return imageSubPath === "" ? folder : await below(folder, imageSubPath, name);
  } catch (error) {
    const { code, message } = toFault(error);
    throw fault(code, `${failed}: ${message}`, { cause: error });
  }
}

/** Unmounts a sandbox's image volumes and removes their snapshots. Idempotent. */
export async function removeImageVolumes(
  parts: RemoveVolumesNeeds,
  sandboxId: string,
  call: Cancellable,
): Promise<void> {
  const { snapshotter, images, hostMounts } = parts;
  const volumes = snapshotter
    .list(criNamespace)
    .filter((snapshot) => sandboxOfVolume(snapshot) === sandboxId);
  if (volumes.length === 0) return;
  await hostMounts.unmountBelow(parts.paths.imageVolumes(sandboxId));
  await Promise.all(
    volumes.map(({ name }) =>
      absentAsUndefined(() => snapshotter.remove(criNamespace, name, call)),
    ),
  );
  for (const { parent } of volumes) images.released(parent);
}

/** The sandbox that an image volume's snapshot is for; undefined for any other snapshot. */
export function sandboxOfVolume({ labels }: Pick<SnapshotInfo, "labels">): string | undefined {
  return labels[kindLabel] === imageVolumeKind ? labels[sandboxLabel] : undefined;
}

async function mounted(
  parts: VolumeNeeds,
  sandbox: SandboxRecord,
  image: Image,
  call: Cancellable,
): Promise<string> {
  const { chainId } = image;
  const name = chainId === "" ? "no-layers" : chainId.replace(/^.*:/, "");
  const target = path.join(parts.paths.imageVolumes(sandbox.id), name);
  const key = `${sandbox.id}-${name}`;
  const labels = {
    [kindLabel]: imageVolumeKind,
    [sandboxLabel]: sandbox.id,
    [rootLabel]: "true",
    ...mappingLabels(podMappings(parts, sandbox)),
  };
  await parts.images.unpack(image, call);
  // Two containers of a pod may want the same image at once.
  await parts.operations.join(
    imageVolumeKind,
    key,
    async (own) => {
      if ((await mountsHolding([target])).at(target) !== undefined) return;
      const { snapshotter, hostMounts } = parts;
      await mkdir(target, { recursive: true, mode: 0o700 });
      const view = await viewOf(snapshotter, key, chainId, { labels, signal: own.signal });
      await hostMounts.mountReadOnly(target, view);
    },
    call,
  );
  return target;
}

async function viewOf(
  snapshotter: Snapshotter,
  key: string,
  chainId: string,
  options: PrepareOptions & Cancellable,
): Promise<ReturnType<Snapshotter["mounts"]>> {
  try {
    return await snapshotter.view(criNamespace, key, chainId, options);
  } catch (error) {
    // Left from an attempt whose mount failed, or from before a reboot.
    if (isFault(error, "ALREADY_EXISTS")) return snapshotter.mounts(criNamespace, key);
    throw error;
  }
}

async function below(folder: string, subPath: string, image: string): Promise<string> {
  if (subPath.startsWith("/") || subPath.split("/").includes("..")) {
    throw fault("INVALID_ARGUMENT", `image sub path "${subPath}" leads out of the image`);
  }
  const node = await new LayeredTree([folder]).lookup(subPath);
  const hostPath = node?.hostPaths[0];
  if (hostPath === undefined) {
    throw fault("NOT_FOUND", `image "${image}" has no "${subPath}"`);
  }
  if (isUtf8(hostPath)) return hostPath.toString();
  // It would be another path in the container's spec, which is JSON.
  throw fault("INVALID_ARGUMENT", `image sub path "${subPath}" leads to a name that is no UTF-8`);
}
