// SPDX-License-Identifier: Apache-2.0
import { rootLabel } from "../../metadata/references.ts";
import { owned } from "../image-source.ts";

const keyPrefix = "extract-";

/** Labels of a snapshot that is extracted into: a root of its own, as nothing refers to it before it is committed. */
export const unfinished = { ...owned, [rootLabel]: "extraction" };

/** The key of such a snapshot. */
export function extractionKey(id: string, chainId: string): string {
  return `${keyPrefix}${id} ${chainId}`;
}

/** Whether a key is one of these: a crash may have left it. */
export function isExtractionKey(key: string): boolean {
  return key.startsWith(keyPrefix);
}
