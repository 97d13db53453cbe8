// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../../base/errors.ts";
import { isDigest } from "../../../content/digest.ts";
import { MediaType } from "../../../images/manifest/media-types.ts";
import { parsePlatform } from "../../../images/manifest/platform.ts";
import { parseReference } from "../../../images/reference.ts";
import {
  type NewTarEntry,
  plainMember,
  tarEnd,
  tarHeader,
  tarPadding,
} from "../../../images/tar/tar-writer.ts";
import { type Blob, checkBlob, type ExportedManifest, manifestsOf } from "./exported-manifests.ts";
import type { ImageRecord, ImageStore } from "./image-record.ts";

/** What an archive will hold. All of its blobs were in the store when it was made. */
export interface PlannedArchive {
  readonly images: readonly PlannedImage[];
  /** Each once. */
  readonly blobs: readonly Blob[];
}

export interface PlannedImage {
  readonly record: ImageRecord;
  /** One, unless all platforms are wanted. */
  readonly manifests: readonly ExportedManifest[];
}

/**
 * Looks which blobs the images consist of: those for one platform, this machine's without another, or all. FAILED_PRECONDITION, with the
 * digest, when one is not in the store.
 */
export async function planArchive(
  session: ImageStore,
  records: readonly ImageRecord[],
  { allPlatforms, platform }: { readonly allPlatforms: boolean; readonly platform?: string },
): Promise<PlannedArchive> {
  const wanted = allPlatforms ? "all" : platform === undefined ? "ours" : parsePlatform(platform);
  const blobs = new Map<string, Blob>();
  const images: PlannedImage[] = [];
  for (const record of eachOnce(records)) {
    const { name, target } = record;
    const root = { digest: target.digest as Blob["digest"], size: Number(target.size) };
    await checkBlob(session, name, root);
    blobs.set(root.digest, root);
    const manifests = await manifestsOf(session, record, wanted);
    for (const one of manifests) {
      for (const blob of [one, one.manifest.config, ...one.manifest.layers]) {
        if (!blobs.has(blob.digest)) await checkBlob(session, name, blob);
        blobs.set(blob.digest, { digest: blob.digest, size: blob.size });
      }
    }
    images.push({ record, manifests });
  }
  return { images, blobs: [...blobs.values()] };
}

/** Without those named twice, and without ids of images that are there by a name. */
function eachOnce(records: readonly ImageRecord[]): readonly ImageRecord[] {
  const byName = new Map(records.map((record) => [record.name, record]));
  const named = new Set(
    [...byName.values()].filter(({ name }) => !isId(name)).map(({ target }) => target.digest),
  );
  return [...byName.values()].filter(
    ({ name, target }) => !isId(name) || !named.has(target.digest),
  );
}

/** The archive's bytes: an OCI layout that `docker load` takes as well, the same for the same images. */
export async function* archiveBytes(
  session: ImageStore,
  plan: PlannedArchive,
): AsyncGenerator<Buffer, void, undefined> {
  yield* folder("blobs/");
  const blobs = plan.blobs.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  const folders = new Set([
    "blobs/sha256",
    ...blobs.map(({ digest }) => pathOf(digest).replace(/\/[^/]*$/, "")),
  ]);
  for (const name of folders) yield* folder(`${name}/`);
  for (const blob of blobs) {
    yield tarHeader({ ...file, name: pathOf(blob.digest), size: blob.size });
    yield* blobBytes(session, blob);
    yield tarPadding(blob.size);
  }
  yield* document("index.json", layoutIndex(plan.images));
  const docker = dockerManifest(plan.images);
  if (docker.length > 0) yield* document("manifest.json", docker);
  yield* document("oci-layout", { imageLayoutVersion: "1.0.0" });
  yield tarEnd;
}

const file: NewTarEntry = { ...plainMember, type: "file", name: "", mode: 0o644 };

function* folder(name: string): Generator<Buffer, void, undefined> {
  yield tarHeader({ ...plainMember, type: "directory", name, mode: 0o755 });
}

function* document(name: string, value: unknown): Generator<Buffer, void, undefined> {
  const bytes = Buffer.from(JSON.stringify(value));
  yield tarHeader({ ...file, name, size: bytes.length });
  yield bytes;
  yield tarPadding(bytes.length);
}

async function* blobBytes(
  session: ImageStore,
  { digest, size }: Blob,
): AsyncGenerator<Buffer, void, undefined> {
  const content = session.client("containerd.services.content.v1.Content");
  let written = 0;
  for await (const { data } of content.Read({ digest }, session.scoped)) {
    written += data.length;
    if (written > size) break;
    yield data;
  }
  if (written !== size) throw fault("ABORTED", `blob ${digest} has changed while it was read`);
}

function pathOf(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function layoutIndex(images: readonly PlannedImage[]): object {
  const manifests = images.map(({ record: { name, target } }) => {
    const { mediaType, digest, size } = target;
    const tag = tagOf(name);
    const annotations = isId(name)
      ? undefined
      : {
          "io.containerd.image.name": name,
          ...(tag !== undefined && { "org.opencontainers.image.ref.name": tag }),
        };
    return { mediaType, digest, size: Number(size), ...(annotations && { annotations }) };
  });
  return { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests };
}

/** For `docker load`, which knows nothing of platforms: images with one manifest. */
function dockerManifest(images: readonly PlannedImage[]): object[] {
  return images.flatMap(({ record: { name }, manifests }) => {
    const [only, ...others] = manifests;
    if (only === undefined || others.length > 0) return [];
    const { config, layers } = only.manifest;
    return {
      Config: pathOf(config.digest),
      RepoTags: tagOf(name) === undefined ? [] : [name],
      Layers: layers.map(({ digest }) => pathOf(digest)),
    };
  });
}

/** Ids of images are names of records too. */
function isId(name: string): boolean {
  return isDigest(name);
}

function tagOf(name: string): string | undefined {
  if (isId(name)) return undefined;
  try {
    return parseReference(name).tag;
  } catch {
    return undefined; // a client may call an image what it likes
  }
}
