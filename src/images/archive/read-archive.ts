// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
import { digestOf } from "../../content/digest.ts";
import type { Digest } from "../../content/ports.ts";
import { storeBytes } from "../image-source.ts";
import type { DockerArchive } from "../manifest/docker-archive.ts";
import type { DocumentReader } from "../manifest/document-reader.ts";
import type { Descriptor } from "../manifest/documents.ts";
import { isIndexType, isManifestType, MediaType } from "../manifest/media-types.ts";
import { candidatesFor, type Platform, platformName } from "../manifest/platform.ts";
import { canonicalName, parseReference } from "../reference.ts";
import { type Compression, readableCompression } from "../unpack/decompress.ts";
import { readDocument } from "./archive-source.ts";
import { type StoredFile, type StoreTarget, storeFiles } from "./store-file.ts";

/** How many platforms a message lists. */
const shownPlatforms = 20;

/** An image of an archive: what to register, and under which names; none when it has no name. */
export interface ArchivedImage {
  readonly target: Descriptor;
  readonly names: readonly string[];
}

/** What is read, and what it is read with. */
export interface ArchiveReading extends StoreTarget {
  readonly documents: DocumentReader;
  /** Of a layout's images with several platforms, the one that fits this best is taken. */
  readonly platform: Platform;
}

/**
 * Finds the images of an OCI layout, or of what `docker save` writes, whose blobs then go into the
 * content store. `name` replaces the names found. INVALID_ARGUMENT when the archive is neither or has no images,
 * NOT_FOUND when all are for other platforms.
 */
export async function readArchive(
  from: ArchiveReading,
  name: string | undefined,
  call: Cancellable,
): Promise<ArchivedImage[]> {
  const has = async (file: string): Promise<boolean> =>
    (await from.archive.open(file, call)) !== undefined;
  if (await has("index.json")) return readLayout(from, name, call);
  if (await has("manifest.json")) return readDockerArchive(from, name, call);
  if (await has("repositories")) {
    throw fault(
      "INVALID_ARGUMENT",
      "archive is in the format of Docker before 1.10, without manifest.json, which is not read: save the image anew with a current Docker",
    );
  }
  throw fault("INVALID_ARGUMENT", "archive has neither index.json nor manifest.json");
}

async function readLayout(
  { archive, documents, platform }: ArchiveReading,
  name: string | undefined,
  call: Cancellable,
): Promise<ArchivedImage[]> {
  const what = "index.json";
  const bytes = await readDocument(archive, what, call);
  const { manifests } = await documents.read({ kind: "layout", bytes, what, mediaType: "" }, call);
  const images = imagesFor(platform, manifests);
  return images.map((target) => {
    const given = name === undefined ? nameIn(target) : nameFor(name, refOf(target), images.length);
    return { target, names: canonicalNames(given === undefined ? [] : [given]) };
  });
}

/** What of a layout's list is to be loaded: of each name the image for the platform, and nothing that goes with images. */
function imagesFor(platform: Platform, listed: readonly Descriptor[]): readonly Descriptor[] {
  const images = listed.filter((entry) => !isBeside(entry));
  if (images.length === 0)
    throw fault("INVALID_ARGUMENT", "index.json of the archive has no images");
  const byName = Map.groupBy(images, (entry) => nameIn(entry) ?? refOf(entry));
  const chosen = [...byName.values()].flatMap((group) => candidatesFor(platform, group));
  if (chosen.length > 0) return chosen;
  const have = new Set(images.flatMap((one) => (one.platform ? [platformName(one.platform)] : [])));
  const others = [...have].slice(0, shownPlatforms).join(", ");
  throw fault(
    "NOT_FOUND",
    `archive has no image for ${platformName(platform)}, only for ${others}`,
  );
}

/** Attestations, and what else is no image by its own word. */
function isBeside({ mediaType, platform, annotations }: Descriptor): boolean {
  if (annotations["vnd.docker.reference.type"] !== undefined) return true;
  if (platform?.os === "unknown") return true;
  return mediaType !== "" && !isIndexType(mediaType) && !isManifestType(mediaType);
}

function refOf({ annotations }: Descriptor): string {
  return annotations["org.opencontainers.image.ref.name"] ?? "";
}

/** The full name that a layout gives an image. */
function nameIn(entry: Descriptor): string | undefined {
  const ref = refOf(entry);
  return entry.annotations["io.containerd.image.name"] ?? (/[/:]/.test(ref) ? ref : undefined);
}

/** One name cannot stand for several images, so each gets its own tag. */
function nameFor(name: string, ref: string, images: number): string {
  return images > 1 && /^\w[\w.-]*$/.test(ref) ? `${name}:${ref}` : name;
}

async function readDockerArchive(
  from: ArchiveReading,
  name: string | undefined,
  call: Cancellable,
): Promise<ArchivedImage[]> {
  const what = "manifest.json";
  const bytes = await readDocument(from.archive, what, call);
  const { documents } = from;
  const images = await documents.read({ kind: "docker", bytes, what, mediaType: "" }, call);
  if (images.length === 0) throw fault("INVALID_ARGUMENT", `${what} of the archive has no images`);
  const layers = images.flatMap(({ Layers }) => Layers);
  const stored = await storeFiles(from, layers, await likelyDigests(from, images, call), call);
  const found: ArchivedImage[] = [];
  for (const image of images) {
    const layers = image.Layers.flatMap((layer) => {
      const file = stored.get(layer);
      return file ? [layerOf(layer, file)] : [];
    });
    const config = await readDocument(from.archive, image.Config, call);
    await from.keep(digestOf(config));
    await storeBytes(from, config, call);
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: {
          mediaType: MediaType.ociConfig,
          digest: digestOf(config),
          size: config.length,
        },
        layers,
      }),
    );
    await from.keep(digestOf(manifest));
    await storeBytes(from, manifest, call);
    found.push({
      target: {
        mediaType: MediaType.ociManifest,
        digest: digestOf(manifest),
        size: manifest.length,
        annotations: {},
      },
      names: canonicalNames(
        name === undefined ? image.RepoTags.filter((tag) => !noTag.includes(tag)) : [name],
      ),
    });
  }
  return found;
}

/** As `docker save` writes layers, plain, their digests stand in the configs. A config that is none is told later. */
async function likelyDigests(
  { archive, documents, onStep }: ArchiveReading,
  images: DockerArchive,
  call: Cancellable,
): Promise<ReadonlyMap<string, Digest>> {
  const likely = new Map<string, Digest>();
  if (!onStep) return likely; // nobody wants to know
  for (const { Config, Layers } of images) {
    try {
      const bytes = await readDocument(archive, Config, call);
      const task = { kind: "image", bytes, what: Config, mediaType: "" } as const;
      const { diffIds } = await documents.read(task, call);
      for (const [at, layer] of Layers.entries()) {
        const diffId = diffIds[at];
        if (diffId !== undefined) likely.set(layer, diffId);
      }
    } catch (error) {
      if (!isFault(error)) throw error;
      call.signal.throwIfAborted();
    }
  }
  return likely;
}

function layerOf(
  layer: string,
  { digest, size, start }: StoredFile,
): Omit<Descriptor, "annotations"> {
  const compression = compressionIn(layer, start);
  const suffix = compression === "none" ? "" : `+${compression}`;
  return { mediaType: `${MediaType.ociLayer}${suffix}`, digest, size };
}

/** How tools say that an image has none. */
const noTag = ["", "<none>", "<none>:<none>"];

function compressionIn(layer: string, start: Buffer): Compression {
  try {
    return readableCompression(start);
  } catch (error) {
    if (!isFault(error)) throw error;
    throw fault(error.code, `"${layer}" of the archive cannot be read: ${error.message}`);
  }
}

function canonicalNames(names: readonly string[]): string[] {
  return names.map((name) => {
    try {
      return canonicalName(parseReference(name));
    } catch (error) {
      if (!isFault(error)) throw error;
      throw fault("INVALID_ARGUMENT", `archive has an image of a bad name: ${error.message}`);
    }
  });
}
