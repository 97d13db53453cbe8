// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { digestOf } from "../../../src/content/digest.ts";
import type { Digest } from "../../../src/content/ports.ts";
import { ociArchitecture } from "../../support/oci-image.ts";
import { type RawMember, tarBytes } from "../../support/tar-bytes.ts";

/** How OCI's media types begin. */
export const oci = "application/vnd.oci.image";
const architecture = ociArchitecture();
const other = architecture === "amd64" ? "arm64" : "amd64";
export const ourPlatform = { os: "linux", architecture };
export const theirPlatform = { os: "linux", architecture: other };

/** A descriptor of what was put into a layout. */
export interface StoredBlob {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/** That of a manifest, with its layer's. */
export interface StoredImage extends StoredBlob {
  readonly layer: { readonly digest: string };
}

/** A layout in a folder, to which images are added; `list` writes its index. */
export class ImageLayout {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  file({ digest }: { readonly digest: string }): string {
    return path.join(this.folder, "blobs/sha256", digest.slice("sha256:".length));
  }

  async store(bytes: Buffer, mediaType: string): Promise<StoredBlob> {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    await mkdir(path.join(this.folder, "blobs/sha256"), { recursive: true });
    await writeFile(this.file(descriptor), bytes);
    return descriptor;
  }

  /** An image of one file that holds `words`. */
  async image(
    words: string,
    members: readonly RawMember[] = [],
    labels: object = {},
  ): Promise<StoredImage> {
    const layer = tarBytes([{ name: "words", content: words }, ...members]);
    const config = {
      ...ourPlatform,
      config: { Labels: { words: words.slice(0, 100), ...labels } },
      rootfs: { type: "layers", diff_ids: [digestOf(layer)] },
    };
    return this.manifest(config, layer);
  }

  async manifest(config: object, layer: Buffer): Promise<StoredImage> {
    const manifest = {
      schemaVersion: 2,
      config: await this.store(Buffer.from(JSON.stringify(config)), `${oci}.config.v1+json`),
      layers: [await this.store(layer, `${oci}.layer.v1.tar`)],
    };
    return {
      ...(await this.store(Buffer.from(JSON.stringify(manifest)), `${oci}.manifest.v1+json`)),
      layer: manifest.layers[0] ?? { digest: "" },
    };
  }

  async list(manifests: unknown): Promise<void> {
    await writeFile(
      path.join(this.folder, "index.json"),
      JSON.stringify({ schemaVersion: 2, manifests }),
    );
  }
}
