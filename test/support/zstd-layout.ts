// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { gunzipSync, zstdCompressSync } from "node:zlib";

interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

interface Document {
  readonly config: Blob;
  readonly layers: readonly Blob[];
  readonly manifests: readonly Blob[];
}

/** Writes the one image of an OCI layout anew with zstd layers: another manifest, the same image id. */
export async function writeZstdLayout(from: string, to: string): Promise<void> {
  const file = (folder: string, digest: string): string =>
    path.join(folder, "blobs/sha256", digest.slice("sha256:".length));
  const json = async (name: string): Promise<Document> =>
    JSON.parse(await readFile(name, "utf8")) as Document;
  const store = async (bytes: Buffer, mediaType: string): Promise<Blob> => {
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    await writeFile(file(to, digest), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  await mkdir(path.join(to, "blobs/sha256"), { recursive: true });
  const index = await json(path.join(from, "index.json"));
  const old = index.manifests[0];
  if (old === undefined) throw new Error("layout without image");
  const manifest = await json(file(from, old.digest));
  const layers: Blob[] = [];
  for (const { digest } of manifest.layers) {
    const plain = gunzipSync(await readFile(file(from, digest)));
    layers.push(
      await store(zstdCompressSync(plain), "application/vnd.oci.image.layer.v1.tar+zstd"),
    );
  }
  await store(await readFile(file(from, manifest.config.digest)), manifest.config.mediaType);
  const made = await store(Buffer.from(JSON.stringify({ ...manifest, layers })), old.mediaType);
  await writeFile(
    path.join(to, "index.json"),
    JSON.stringify({ ...index, manifests: [{ ...old, ...made }] }),
  );
  await writeFile(path.join(to, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}
