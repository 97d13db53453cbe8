// SPDX-License-Identifier: Apache-2.0
import { chainIds } from "../../../images/chain-id.ts";
import { parseImageDocument } from "../../../images/manifest/documents.ts";
import type { ImageConfig } from "../../../images/ports.ts";
import type { Session } from "../call-options.ts";
import { findRecord, readBlob, readManifest } from "../images/image-record.ts";

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
  const { name, target } = await findRecord(session, wanted);
  const manifest = await readManifest(session, name, target.digest);
  const document = parseImageDocument(
    await readBlob(session, manifest.config.digest),
    `the config of image "${name}"`,
  );
  return { name, config: document.config, chainId: chainIds(document.diffIds).at(-1) ?? "" };
}
