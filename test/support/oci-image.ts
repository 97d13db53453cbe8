// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { plainMember, tarEnd, tarHeader, tarPadding } from "../../src/images/tar/tar-writer.ts";

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

export type LayerCompression = "gzip" | "zstd";

export interface ImageRecipe {
  readonly config: ImageProcess;
  /** From the lowest up; bytes are a plain archive. */
  readonly layers: readonly (readonly LayerEntry[] | Buffer)[];
  /** Default "gzip". */
  readonly compression?: LayerCompression;
  /** Default: this machine's. */
  readonly architecture?: string;
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
  const { compression = "gzip" } = recipe;
  for (const entries of recipe.layers) {
    const { diffId, packed } = packOnce(entries, compression);
    diffIds.push(diffId);
    layers.push(await store(packed, `application/vnd.oci.image.layer.v1.tar+${compression}`));
  }
  const config = await store(
    Buffer.from(
      JSON.stringify({
        created: epoch.toISOString(),
        architecture: recipe.architecture ?? ociArchitecture(),
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

interface PackedLayer {
  readonly diffId: string;
  /** Compressed. */
  readonly packed: Buffer;
}

/** Images of one base share it: by the list of its entries. */
const packedLayers = {
  gzip: new WeakMap<object, PackedLayer>(),
  zstd: new WeakMap<object, PackedLayer>(),
};

function packOnce(
  entries: readonly LayerEntry[] | Buffer,
  compression: LayerCompression,
): PackedLayer {
  const known = packedLayers[compression].get(entries);
  if (known !== undefined) return known;
  const plain = Buffer.isBuffer(entries) ? entries : packLayer(entries);
  const diffId = `sha256:${createHash("sha256").update(plain).digest("hex")}`;
  const packed = compression === "gzip" ? gzipSync(plain, { level: 1 }) : zstdCompressSync(plain);
  const made: PackedLayer = { diffId, packed };
  packedLayers[compression].set(entries, made);
  return made;
}

function packLayer(entries: readonly LayerEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(memberOf), tarEnd]);
}

function memberOf({ path: at, content, symlink, hardlink, mode, uid, gid }: LayerEntry): Buffer[] {
  const common = { ...plainMember, name: latin1(at), uid: uid ?? 0, gid: gid ?? 0 };
  if (symlink !== undefined) {
    return [tarHeader({ ...common, type: "symlink", linkName: latin1(symlink), mode: 0o777 })];
  }
  if (hardlink !== undefined) {
    const linkName = latin1(hardlink);
    return [tarHeader({ ...common, type: "hardlink", linkName, mode: mode ?? 0o755 })];
  }
  if (content === undefined) {
    return [tarHeader({ ...common, type: "directory", mode: mode ?? 0o755 })];
  }
  const body = Buffer.from(content);
  const size = body.length;
  return [
    tarHeader({ ...common, type: "file", size, mode: mode ?? 0o644 }),
    body,
    tarPadding(size),
  ];
}

/** The bytes of a name, one character each, as the writer takes them. */
function latin1(name: string): string {
  return Buffer.from(name).toString("latin1");
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
