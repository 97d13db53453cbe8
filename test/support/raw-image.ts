// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { ociArchitecture } from "./oci-image.ts";

/** An image whose parts are whatever bytes a test wants. */
export interface RawImage {
  readonly tag: string;
  /** Blobs from the lowest up; the plain bytes are what the diff ids are of, where the blob is packed. */
  readonly layers: readonly { readonly blob: Buffer; readonly plain?: Buffer }[];
  /** Makes the config of the diff ids; an ordinary one when left out. */
  readonly config?: (diffIds: readonly string[]) => Buffer | string;
}

/** Writes images as an OCI layout; answers the digests of their configs. */
export async function writeRawLayout(
  folder: string,
  images: readonly RawImage[],
): Promise<string[]> {
  const blobs = path.join(folder, "blobs/sha256");
  await mkdir(blobs, { recursive: true });
  const store = async (bytes: Buffer, mediaType: string) => {
    const digest = digestOf(bytes);
    await writeFile(path.join(blobs, digest.slice("sha256:".length)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const manifests = [];
  const ids: string[] = [];
  for (const { tag, layers, config = ordinaryConfig } of images) {
    const stored = [];
    for (const { blob } of layers) {
      stored.push(await store(blob, "application/vnd.oci.image.layer.v1.tar"));
    }
    const diffIds = layers.map(({ blob, plain }) => digestOf(plain ?? blob));
    const configBytes = Buffer.from(config(diffIds));
    const type = "application/vnd.oci.image.config.v1+json";
    const manifest = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: await store(configBytes, type),
      layers: stored,
    };
    ids.push(manifest.config.digest);
    manifests.push({
      ...(await store(Buffer.from(JSON.stringify(manifest)), manifest.mediaType)),
      annotations: { "org.opencontainers.image.ref.name": tag },
    });
  }
  await writeFile(path.join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  await writeFile(path.join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  return ids;
}

/** A config of no account. */
export function ordinaryConfig(diffIds: readonly string[], config: object = {}): string {
  return JSON.stringify({
    os: "linux",
    architecture: ociArchitecture(),
    config,
    rootfs: { type: "layers", diff_ids: diffIds },
  });
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
