// SPDX-License-Identifier: Apache-2.0
import { fault, isFault } from "../../../base/errors.ts";
import {
  type Descriptor,
  type Manifest,
  parseImageDocument,
} from "../../../images/manifest/documents.ts";
import { isImageConfig } from "../../../images/manifest/media-types.ts";
import {
  candidatesFor,
  hostPlatform,
  type Platform,
  platformFit,
  platformName,
} from "../../../images/manifest/platform.ts";
import {
  type ImageRecord,
  type ImageStore,
  readBlob,
  readIndexOrManifest,
} from "./image-record.ts";

export type Blob = Pick<Descriptor, "digest" | "size">;

/** A manifest that is in the store. */
export interface ExportedManifest extends Blob {
  readonly manifest: Manifest;
}

/** What is exported of an image for several platforms: what suits this machine, all, or the one that was asked for. */
export type Wanted = "ours" | "all" | Platform;

/**
 * The manifests that an image has for what is wanted. One without an index is what there is for this machine, whatever it
 * is for. NOT_FOUND where it has nothing for the platform that was asked for, with those that it has.
 */
export async function manifestsOf(
  session: ImageStore,
  { name, target }: ImageRecord,
  wanted: Wanted,
): Promise<readonly ExportedManifest[]> {
  const root = await readIndexOrManifest(session, name, target.digest);
  if (root.kind === "manifest") {
    if (typeof wanted === "object") await checkPlatform(session, name, [root, wanted]);
    const digest = target.digest as Blob["digest"];
    return [{ digest, size: Number(target.size), manifest: root }];
  }
  const chosen = wanted === "all" ? root.manifests : [chosenFrom(name, root.manifests, wanted)];
  const found: ExportedManifest[] = [];
  for (const descriptor of chosen) {
    await checkBlob(session, name, descriptor);
    const manifest = await readIndexOrManifest(session, name, descriptor.digest);
    if (manifest.kind === "index") {
      throw fault("FAILED_PRECONDITION", `image "${name}" is an index of indexes`);
    }
    if (typeof wanted === "object" && descriptor.platform === undefined) {
      await checkPlatform(session, name, [manifest, wanted]);
    }
    found.push({ digest: descriptor.digest, size: descriptor.size, manifest });
  }
  return found;
}

function chosenFrom(
  name: string,
  offered: readonly Descriptor[],
  wanted: "ours" | Platform,
): Descriptor {
  // What was asked for by name is not replaced by what would run there, too.
  const exact = (one: Descriptor): boolean =>
    wanted === "ours" || one.platform === undefined || platformFit(wanted, one.platform) === 0;
  const platform = wanted === "ours" ? hostPlatform() : wanted;
  const [best] = candidatesFor(platform, offered.filter(exact));
  if (best) return best;
  throw nothingFor(
    name,
    platform,
    offered.flatMap((one) => one.platform ?? []),
  );
}

/** What an image without an index is for only its config tells; what is no image is for none. */
async function checkPlatform(
  session: ImageStore,
  name: string,
  [manifest, wanted]: readonly [Manifest, Platform],
): Promise<void> {
  const { digest, mediaType } = manifest.config;
  if (!isImageConfig(mediaType)) return;
  await checkBlob(session, name, manifest.config);
  const what = `the config of image "${name}"`;
  const { platform } = parseImageDocument(await readBlob(session, digest), what);
  if (platformFit(wanted, platform) !== 0) throw nothingFor(name, wanted, [platform]);
}

function nothingFor(name: string, wanted: Platform, has: readonly Platform[]): Error {
  const others = [...new Set(has.map(platformName))].join(", ") || "none";
  return fault(
    "NOT_FOUND",
    `image "${name}" has nothing for ${platformName(wanted)}, only for ${others}`,
  );
}

/** FAILED_PRECONDITION where the store has not the blob, or another length of it. */
export async function checkBlob(
  session: ImageStore,
  name: string,
  { digest, size }: Blob,
): Promise<void> {
  const content = session.client("containerd.services.content.v1.Content");
  try {
    const { info } = await content.Info({ digest }, session.scoped);
    if (info && Number(info.size) === size) return;
    throw fault(
      "FAILED_PRECONDITION",
      `blob ${digest} of image "${name}" has ${info?.size} bytes in the store, and should have ${size}`,
    );
  } catch (error) {
    if (!isFault(error, "NOT_FOUND")) throw error;
    throw fault(
      "FAILED_PRECONDITION",
      `blob ${digest} of image "${name}" is not in the store: pull the image again`,
      { cause: error },
    );
  }
}
