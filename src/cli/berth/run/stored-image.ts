// SPDX-License-Identifier: Apache-2.0
import { fault, isFault } from "../../../base/errors.ts";
import { isDigest } from "../../../content/digest.ts";
import { chainIds } from "../../../images/chain-id.ts";
import {
  type ImageDocument,
  type Manifest,
  parseImageDocument,
  parseManifest,
} from "../../../images/manifest/documents.ts";
import { bestFor, hostPlatform } from "../../../images/manifest/platform.ts";
import type { ImageConfig } from "../../../images/ports.ts";
import { canonicalName, parseReference } from "../../../images/reference.ts";
import type { Session } from "../call-options.ts";

const maxDocumentBytes = 8 * 1024 * 1024;

/** An image of the daemon's store, as far as a container needs it. */
export interface StoredImage {
  /** The name in its record. */
  readonly name: string;
  readonly config: ImageConfig;
  /** The committed snapshot of its layers; "" when it has none. */
  readonly chainId: string;
}

/** Reads an image by the name people use for it. NOT_FOUND when the daemon has none of that name. */
export async function readStoredImage(session: Session, wanted: string): Promise<StoredImage> {
  const { name, digest } = await findRecord(session, wanted);
  const manifest = await readManifest(session, name, digest);
  const document: ImageDocument = parseImageDocument(
    await readBlob(session, manifest.config.digest),
    `the config of image "${name}"`,
  );
  return { name, config: document.config, chainId: chainIds(document.diffIds).at(-1) ?? "" };
}

async function findRecord(
  session: Session,
  wanted: string,
): Promise<{ readonly name: string; readonly digest: string }> {
  const images = session.client("containerd.services.images.v1.Images");
  const names = isDigest(wanted)
    ? [wanted]
    : [...new Set([wanted, canonicalName(parseReference(wanted))])];
  for (const name of names) {
    try {
      const { image } = await images.Get({ name }, session.scoped);
      if (image?.target) return { name: image.name, digest: image.target.digest };
    } catch (error) {
      if (!isFault(error, "NOT_FOUND")) throw error;
    }
  }
  throw fault(
    "NOT_FOUND",
    `image "${wanted}" is not in namespace "${session.namespace}" of the daemon's store: pull or load it first`,
  );
}

async function readManifest(session: Session, name: string, digest: string): Promise<Manifest> {
  const what = `the manifest of image "${name}"`;
  const found = parseManifest(await readBlob(session, digest), what);
  if (found.kind === "manifest") return found;
  const best = bestFor(hostPlatform(), found.manifests);
  if (!best) throw fault("NOT_FOUND", `image "${name}" has nothing for this machine's processor`);
  const inner = parseManifest(await readBlob(session, best.digest), what);
  if (inner.kind === "manifest") return inner;
  throw fault("FAILED_PRECONDITION", `image "${name}" is an index of indexes`);
}

async function readBlob(session: Session, digest: string): Promise<Buffer> {
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
