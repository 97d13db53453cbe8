// SPDX-License-Identifier: Apache-2.0
import { lstat, mkdir, rename } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { readBounded } from "../../base/read-bounded.ts";
import { unpackArchive } from "../../checkpoint/checkpoint-archive.ts";
import type { Image, Images } from "../../images/ports.ts";
import { LayeredTree } from "../../oci/rootfs/layered-tree.ts";
import type { CriParts } from "../parts.ts";
import { criNamespace } from "../ports.ts";
import { type CheckpointConfig, checkpointFiles } from "./checkpoint-files.ts";

export type CheckpointSourceNeeds = Pick<CriParts, "config" | "images" | "snapshotter">;
export type OpenCheckpointNeeds = Pick<CriParts, "images" | "snapshotter" | "specs">;

/**
 * Where a container to be restored comes from: an archive on this node, an image that holds one, or the folder that RestorePod
 * has unpacked and found to be of that image.
 */
export type CheckpointSource =
  | { readonly kind: "archive"; readonly file: string }
  | { readonly kind: "image"; readonly image: Image }
  | { readonly kind: "unpacked"; readonly folder: string; readonly image: Image };

/** A checkpoint's files in a folder of the new container's own, and the image they belong to. */
export interface OpenCheckpoint {
  readonly folder: string;
  readonly image: Image;
}

const maxConfigBytes = 1024 * 1024;

/** What a request's image is a checkpoint of; undefined when it is an image like others, or might be one. */
export async function checkpointSource(
  parts: CheckpointSourceNeeds,
  requested: string,
  call: Cancellable,
): Promise<CheckpointSource | undefined> {
  const isPath = path.isAbsolute(requested);
  if (!parts.config.cri.restoreCheckpoints) {
    if (!isPath) return undefined;
    throw fault(
      "NOT_FOUND",
      `image "${requested}" is not present on this node; checkpoint archives are restored only with restore_checkpoints = true in [cri]`,
    );
  }
  const image = parts.images.find(requested);
  if (image)
    return (await holdsCheckpoint(parts, image, call)) ? { kind: "image", image } : undefined;
  return isPath ? { kind: "archive", file: requested } : undefined;
}

/** One layer and nothing to run: only then is it worth a look at the files. */
async function holdsCheckpoint(
  { images, snapshotter }: Pick<CriParts, "images" | "snapshotter">,
  image: Image,
  call: Cancellable,
): Promise<boolean> {
  const { entrypoint, cmd } = image.config;
  if (image.layers !== 1 || entrypoint.length > 0 || cmd.length > 0) return false;
  await images.unpack(image, call);
  const tree = new LayeredTree(snapshotter.directories(criNamespace, image.chainId));
  const files = checkpointFiles("");
  const [config, criu] = await Promise.all([tree.entry(files.config), tree.entry(files.criu)]);
  return config?.kind === "file" && criu?.kind === "directory";
}

/**
 * Unpacks a checkpoint into `folder`. INVALID_ARGUMENT when it is none, NOT_FOUND when the image that
 * the container was made from is not on this node.
 */
export async function openCheckpoint(
  { images, snapshotter, specs }: OpenCheckpointNeeds,
  source: CheckpointSource,
  folder: string,
  call: Cancellable,
): Promise<OpenCheckpoint> {
  if (source.kind === "unpacked") return takeOver(images, source, folder, call);
  if (source.kind === "archive") await unpackArchive(source.file, folder, call);
  else {
    const layers = snapshotter.directories(criNamespace, source.image.chainId);
    await mkdir(path.dirname(folder), { recursive: true, mode: 0o700 });
    // What it has besides files and folders could lead to the host's.
    await specs.openRootfs(layers).copyDirectory("/", folder, { plain: true }, call);
  }
  const { rootfsImage, rootfsImageRef, rootfsImageName } = await readImageNames(folder);
  const names = [rootfsImageRef, rootfsImageName, rootfsImage].filter((name) => name !== "");
  for (const name of names) {
    const image = images.find(name);
    if (!image) continue;
    await images.unpack(image, call);
    return { folder, image };
  }
  throw fault("NOT_FOUND", `image "${names[0] ?? ""}" of the checkpoint is not on this node`);
}

async function takeOver(
  images: Pick<Images, "unpack">,
  source: Extract<CheckpointSource, { kind: "unpacked" }>,
  folder: string,
  call: Cancellable,
): Promise<OpenCheckpoint> {
  const { image } = source;
  await readImageNames(source.folder); // that it is one
  const layer = await lstat(checkpointFiles(source.folder).rootfsDiff).catch(() => undefined);
  if (!layer?.isFile()) {
    throw fault("INVALID_ARGUMENT", "the archive has no writable layer of a container");
  }
  await mkdir(path.dirname(folder), { recursive: true, mode: 0o700 });
  await rename(source.folder, folder);
  await images.unpack(image, call);
  return { folder, image };
}

type ImageNames = Pick<CheckpointConfig, "rootfsImage" | "rootfsImageRef" | "rootfsImageName">;

/** What an unpacked checkpoint says its image is called; INVALID_ARGUMENT when it is none. Exported for tests. */
export async function readImageNames(folder: string): Promise<ImageNames> {
  const files = checkpointFiles(folder);
  try {
    if (!(await lstat(files.criu)).isDirectory()) throw new Error(`${files.criu} is no folder`);
    const text = await readBounded(files.config, maxConfigBytes);
    const facts = JSON.parse(text.toString()) as Partial<Record<string, unknown>>;
    const name = (key: string): string => {
      const value = facts[key];
      return typeof value === "string" ? value : "";
    };
    return {
      rootfsImage: name("rootfsImage"),
      rootfsImageRef: name("rootfsImageRef"),
      rootfsImageName: name("rootfsImageName"),
    };
  } catch (error) {
    throw fault("INVALID_ARGUMENT", "the archive is no checkpoint of a container", {
      cause: error,
    });
  }
}
