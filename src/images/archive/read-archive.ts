// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
import { digestOf } from "../../content/digest.ts";
import { storeBytes } from "../image-source.ts";
import type { DocumentReader } from "../manifest/document-reader.ts";
import type { Descriptor } from "../manifest/documents.ts";
import { MediaType } from "../manifest/media-types.ts";
import { canonicalName, parseReference } from "../reference.ts";
import { compressionOf } from "../unpack/decompress.ts";
import { readDocument, type StoreTarget, storeFile } from "./archive-source.ts";

/** An image of an archive: what to register, and under which names; none when it has no name. */
export interface ArchivedImage {
  readonly target: Descriptor;
  readonly names: readonly string[];
}

/**
 * Finds the images of an OCI layout, or of what `docker save` writes, whose blobs then go into the
 * content store. `name` replaces the names found. INVALID_ARGUMENT when the archive is neither.
 */
export async function readArchive(
  from: StoreTarget,
  documents: DocumentReader,
  name: string | undefined,
  call: Cancellable,
): Promise<ArchivedImage[]> {
  if (await from.archive.open("index.json")) return readLayout(from, documents, name, call);
  if (await from.archive.open("manifest.json"))
    return readDockerArchive(from, documents, name, call);
  throw fault("INVALID_ARGUMENT", "archive has neither index.json nor manifest.json");
}

async function readLayout(
  { archive }: StoreTarget,
  documents: DocumentReader,
  name: string | undefined,
  call: Cancellable,
): Promise<ArchivedImage[]> {
  const what = "index.json";
  const bytes = await readDocument(archive, what, call);
  const { manifests } = await documents.read({ kind: "layout", bytes, what, mediaType: "" }, call);
  return manifests.map((target) => {
    const { annotations } = target;
    const ref = annotations["org.opencontainers.image.ref.name"] ?? "";
    const full = annotations["io.containerd.image.name"] ?? (/[/:]/.test(ref) ? ref : undefined);
    const given = name === undefined ? full : nameFor(name, ref, manifests.length);
    return { target, names: canonicalNames(given === undefined ? [] : [given]) };
  });
}

/** One name cannot stand for several images, so each gets its own tag. */
function nameFor(name: string, ref: string, images: number): string {
  return images > 1 && /^\w[\w.-]*$/.test(ref) ? `${name}:${ref}` : name;
}

async function readDockerArchive(
  from: StoreTarget,
  documents: DocumentReader,
  name: string | undefined,
  call: Cancellable,
): Promise<ArchivedImage[]> {
  const what = "manifest.json";
  const bytes = await readDocument(from.archive, what, call);
  const images = await documents.read({ kind: "docker", bytes, what, mediaType: "" }, call);
  const found: ArchivedImage[] = [];
  for (const image of images) {
    const layers: Descriptor[] = [];
    for (const layer of image.Layers) {
      const { digest, size, start } = await storeFile(from, layer, call);
      const compression = compressionOf(start);
      const suffix = compression === "none" ? "" : `+${compression}`;
      layers.push({ mediaType: `${MediaType.ociLayer}${suffix}`, digest, size, annotations: {} });
    }
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
        layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
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
      names: canonicalNames(name === undefined ? (image.RepoTags ?? []) : [name]),
    });
  }
  return found;
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
