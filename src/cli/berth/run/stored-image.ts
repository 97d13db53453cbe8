// SPDX-License-Identifier: Apache-2.0
import type { Digest } from "../../../content/ports.ts";
import { chainIds } from "../../../images/chain-id.ts";
import { type Descriptor, parseImageDocument } from "../../../images/manifest/documents.ts";
import type { ImageConfig } from "../../../images/ports.ts";
import type { Session } from "../call-options.ts";
import { findRecord, readBlob, readManifest } from "../images/image-record.ts";

/** An image of the daemon's store, as far as a container needs it. */
export interface StoredImage {
  /** The name in its record. */
  readonly name: string;
  readonly settings: ImageConfig;
  readonly config: Descriptor;
  /** Base first. */
  readonly layers: readonly Descriptor[];
  readonly diffIds: readonly Digest[];
  /** The committed snapshot of its layers; "" when it has none. */
  readonly chainId: string;
}

/** Reads an image by the name people use for it. NOT_FOUND when the daemon has none of that name. */
export async function readStoredImage(session: Session, wanted: string): Promise<StoredImage> {
  const { name, target } = await findRecord(session, wanted);
  const manifest = await readManifest(session, name, target.digest);
  const document = parseImageDocument(
    await readBlob(session, manifest.config.digest),
    `the config of image "${name}"`,
  );
  const { diffIds, config: settings } = document;
  const { config, layers } = manifest;
  return { name, settings, config, layers, diffIds, chainId: chainIds(diffIds).at(-1) ?? "" };
}
