// SPDX-License-Identifier: Apache-2.0
import { fault, isFault } from "../../../base/errors.ts";
import { isDigest } from "../../../content/digest.ts";
import type { Image } from "../../../gen/cri.gen.ts";
import type { ImagesImage } from "../../../gen/images.gen.ts";
import type { TypesDescriptor } from "../../../gen/types.gen.ts";
import { type Index, type Manifest, parseManifest } from "../../../images/manifest/documents.ts";
import { candidatesFor, hostPlatform } from "../../../images/manifest/platform.ts";
import { canonicalName, parseReference } from "../../../images/reference.ts";
import { criNamespace, type Session } from "../call-options.ts";
import { unknownImages } from "./unknown-images.ts";

const maxDocumentBytes = 8 * 1024 * 1024;
const idPattern = /^[0-9a-f]{4,64}$/;

/** A daemon of whose images a command knows: Berth, or another one with containerd's services. */
export type ImageStore = Pick<Session, "client" | "call" | "scoped" | "namespace">;

/** A record of the daemon's store: a name that leads to a manifest or an index. */
export type ImageRecord = ImagesImage & { readonly target: TypesDescriptor };

/**
 * Finds an image by the name people use for it, or by its id or the beginning of that. NOT_FOUND when the
 * command's namespace has none; FAILED_PRECONDITION for one that is built in, of which the store knows nothing.
 */
export async function findRecord(session: ImageStore, wanted: string): Promise<ImageRecord> {
  const known = await recordOf(session, await namesOf(session, wanted));
  if (known) return known;
  const image = session.namespace === criNamespace ? await pulledAs(session, wanted) : null;
  if (!image) throw unknownImages([wanted], session.namespace);
  const record = await recordOf(session, [image.id, ...image.repoTags, ...image.repoDigests]);
  if (record) return record;
  throw fault("FAILED_PRECONDITION", `image "${wanted}" is built in for sandboxes alone`);
}

/** What CRI knows by that name: nothing where a containerd serves none, as Docker's. */
async function pulledAs(session: ImageStore, wanted: string): Promise<Image | null> {
  const images = session.client("runtime.v1.ImageService");
  try {
    return (await images.ImageStatus({ image: { image: wanted } }, session.call)).image;
  } catch (error) {
    if (!isFault(error, "UNIMPLEMENTED")) throw error;
    return null;
  }
}

async function recordOf(
  session: ImageStore,
  names: readonly string[],
): Promise<ImageRecord | undefined> {
  const images = session.client("containerd.services.images.v1.Images");
  for (const name of names) {
    try {
      const { image } = await images.Get({ name }, session.scoped);
      if (image?.target) return { ...image, target: image.target };
    } catch (error) {
      if (!isFault(error, "NOT_FOUND")) throw error;
    }
  }
  return undefined;
}

/** Records are found by their whole names alone: ids of CRI's images have records too, beginnings of ids have not. */
async function namesOf(session: ImageStore, wanted: string): Promise<string[]> {
  if (isDigest(wanted)) return [wanted];
  const names = new Set([wanted]);
  if (idPattern.test(wanted)) {
    const request = { image: { image: wanted } };
    const { image } = await session
      .client("runtime.v1.ImageService")
      .ImageStatus(request, session.call);
    if (image) names.add(image.id);
  }
  if (wanted.length < 64 || !idPattern.test(wanted)) {
    names.add(canonicalName(parseReference(wanted)));
  }
  return [...names];
}

/** The manifest for this machine's processor. `name` is for errors. */
export async function readManifest(
  session: ImageStore,
  name: string,
  digest: string,
): Promise<Manifest> {
  const found = await readIndexOrManifest(session, name, digest);
  if (found.kind === "manifest") return found;
  const [best] = candidatesFor(hostPlatform(), found.manifests);
  if (!best) throw fault("NOT_FOUND", `image "${name}" has nothing for this machine's processor`);
  const inner = await readIndexOrManifest(session, name, best.digest);
  if (inner.kind === "manifest") return inner;
  throw fault("FAILED_PRECONDITION", `image "${name}" is an index of indexes`);
}

export async function readIndexOrManifest(
  session: ImageStore,
  name: string,
  digest: string,
): Promise<Index | Manifest> {
  return parseManifest(await readBlob(session, digest), `the manifest of image "${name}"`);
}

/** A blob of at most 8 MiB; FAILED_PRECONDITION for a larger one. */
export async function readBlob(session: ImageStore, digest: string): Promise<Buffer> {
  const content = session.client("containerd.services.content.v1.Content");
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const { data } of content.Read({ digest }, session.scoped)) {
    size += data.length;
    if (size > maxDocumentBytes) throw fault("FAILED_PRECONDITION", `blob ${digest} is too large`);
    chunks.push(data);
  }
  return Buffer.concat(chunks);
}
