// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { gzipSync } from "node:zlib";
import tar from "tar-stream";

/** One entry of a layer; a folder when it has neither content nor link. */
export interface LayerEntry {
  readonly path: string;
  readonly content?: Buffer | string;
  readonly symlink?: string;
  /** Path of an earlier file of the layer. */
  readonly hardlink?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** The `config` part of an OCI image config, by its own names. */
export interface ImageProcess {
  readonly User?: string;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir?: string;
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly StopSignal?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
}

export interface ImageRecipe {
  readonly config: ImageProcess;
  /** From the lowest up; bytes are a plain archive. */
  readonly layers: readonly (readonly LayerEntry[] | Buffer)[];
}

const epoch = new Date(0);

/**
 * Writes an image as an OCI layout into `folder`, tagged `tag`. Answers the config's digest, which
 * is the image's id in CRI. Deterministic: the same recipe gives the same digests.
 */
export async function writeOciLayout(
  folder: string,
  tag: string,
  recipe: ImageRecipe,
): Promise<string> {
  const blobs = path.join(folder, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  const store = async (bytes: Buffer, mediaType: string) => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    await writeFile(path.join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const diffIds: string[] = [];
  const layers = [];
  for (const entries of recipe.layers) {
    const plain = Buffer.isBuffer(entries) ? entries : await packLayer(entries);
    diffIds.push(`sha256:${createHash("sha256").update(plain).digest("hex")}`);
    const packed = gzipSync(plain, { level: 1 });
    layers.push(await store(packed, "application/vnd.oci.image.layer.v1.tar+gzip"));
  }
  const config = await store(
    Buffer.from(
      JSON.stringify({
        created: epoch.toISOString(),
        architecture: ociArchitecture(),
        os: "linux",
        config: recipe.config,
        rootfs: { type: "layers", diff_ids: diffIds },
        history: diffIds.map(() => ({ created: epoch.toISOString(), created_by: "test" })),
      }),
    ),
    "application/vnd.oci.image.config.v1+json",
  );
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = await store(
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers })),
    mediaType,
  );
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ ...manifest, annotations: { "org.opencontainers.image.ref.name": tag } }],
  };
  await writeFile(path.join(folder, "index.json"), JSON.stringify(index));
  await writeFile(path.join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  return config.digest;
}

async function packLayer(entries: readonly LayerEntry[]): Promise<Buffer> {
  const pack = tar.pack();
  const done = (async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of pack) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  })();
  for (const entry of entries) {
    const common = {
      name: entry.path,
      mtime: epoch,
      uid: entry.uid ?? 0,
      gid: entry.gid ?? 0,
    };
    if (entry.symlink !== undefined) {
      pack.entry({ ...common, type: "symlink", linkname: entry.symlink, mode: 0o777 });
    } else if (entry.hardlink !== undefined) {
      pack.entry({ ...common, type: "link", linkname: entry.hardlink, mode: entry.mode ?? 0o755 });
    } else if (entry.content === undefined) {
      pack.entry({ ...common, type: "directory", mode: entry.mode ?? 0o755 });
    } else {
      pack.entry({ ...common, type: "file", mode: entry.mode ?? 0o644 }, entry.content as string);
    }
  }
  pack.finalize();
  return done;
}

/** A file of this machine as bytes, for a layer. */
export async function fileBytes(file: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(file)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** This machine's architecture by OCI's name. */
export function ociArchitecture(): string {
  return process.arch === "x64" ? "amd64" : process.arch;
}
