// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { ordinaryConfig, type RawImage } from "./raw-image.ts";

/** Pushes an image to a registry as it is, where tools that look at it first would refuse. */
export async function pushRawImage(
  registry: string,
  repository: string,
  { tag, layers, config = ordinaryConfig }: RawImage,
): Promise<void> {
  const base = `http://${registry}/v2/${repository}`;
  const push = (bytes: Buffer, mediaType: string) => pushBlob(base, bytes, mediaType);
  const stored = [];
  for (const { blob } of layers) {
    stored.push(await push(blob, "application/vnd.oci.image.layer.v1.tar"));
  }
  const diffIds = layers.map(({ blob, plain }) => digestOf(plain ?? blob));
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const document = {
    schemaVersion: 2,
    mediaType,
    config: await push(Buffer.from(config(diffIds)), "application/vnd.oci.image.config.v1+json"),
    layers: stored,
  };
  await put(new URL(`${base}/manifests/${tag}`), Buffer.from(JSON.stringify(document)), mediaType);
}

/** Pushes an artifact of these files; answers its name with its digest. */
export async function pushArtifact(
  registry: string,
  repository: string,
  files: readonly Buffer[],
  configType = "application/vnd.cncf.seccomp-profile.config.v1+json",
): Promise<string> {
  const base = `http://${registry}/v2/${repository}`;
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const layers = [];
  for (const bytes of files) layers.push(await pushBlob(base, bytes, "application/json"));
  const config = await pushBlob(base, Buffer.from("{}"), configType);
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
  await put(new URL(`${base}/manifests/${digestOf(manifest)}`), manifest, mediaType);
  return `${registry}/${repository}@${digestOf(manifest)}`;
}

/** A config document as it is changed. */
export type ConfigDocument = Record<string, unknown> & { config: Record<string, unknown> };

/** Pushes an image of the registry once more, under another tag, with another config. */
export async function pushVariant(
  registry: string,
  repository: string,
  [from, to]: readonly [from: string, to: string],
  change: (document: ConfigDocument) => void,
): Promise<void> {
  const base = `http://${registry}/v2/${repository}`;
  const get = async (what: string, type: string): Promise<unknown> =>
    (await fetch(`${base}/${what}`, { headers: { accept: type } })).json();
  const type = "application/vnd.oci.image.manifest.v1+json";
  const manifest = (await get(`manifests/${from}`, type)) as {
    config: { digest: string; mediaType: string };
  };
  const document = (await get(`blobs/${manifest.config.digest}`, "*/*")) as ConfigDocument;
  change(document);
  const bytes = Buffer.from(JSON.stringify(document));
  const config = await pushBlob(base, bytes, manifest.config.mediaType);
  const changed = Buffer.from(JSON.stringify({ ...manifest, config }));
  await put(new URL(`${base}/manifests/${to}`), changed, type);
}

async function pushBlob(base: string, bytes: Buffer, mediaType: string) {
  const digest = digestOf(bytes);
  const begun = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
  const to = new URL(begun.headers.get("location") ?? "", base);
  to.searchParams.set("digest", digest);
  await put(to, bytes, "application/octet-stream");
  return { mediaType, digest, size: bytes.length };
}

async function put(to: URL, body: Buffer, type: string): Promise<void> {
  const answer = await fetch(to, {
    method: "PUT",
    body: new Uint8Array(body),
    headers: { "content-type": type },
  });
  if (!answer.ok) throw new Error(`PUT ${to.href}: ${answer.status} ${await answer.text()}`);
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
