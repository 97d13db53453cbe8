// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { Compression } from "../images/unpack/decompress.ts";

const layer = "application/vnd.oci.image.layer.v1.tar";
const written: Readonly<Record<string, Compression>> = {
  [layer]: "none",
  [`${layer}+gzip`]: "gzip",
  [`${layer}+zstd`]: "zstd",
};
const readable =
  /^application\/vnd\.(oci\.image\.layer(\.nondistributable)?\.v1\.tar|docker\.image\.rootfs(\.foreign)?\.diff\.tar)([.+](gzip|zstd))?$/;

/** What a plain archive is called. */
export const plainLayer = layer;
export const defaultLayer = `${layer}+gzip`;

/** How a layer of that type is to be packed; UNIMPLEMENTED for what we do not write. */
export function compressionFor(mediaType: string): Compression {
  const compression = Object.hasOwn(written, mediaType) ? written[mediaType] : undefined;
  if (compression !== undefined) return compression;
  throw fault("UNIMPLEMENTED", `cannot make a difference of media type "${mediaType}"`);
}

/** UNIMPLEMENTED for what is no layer. */
export function checkLayer(mediaType: string): void {
  if (readable.test(mediaType)) return;
  throw fault("UNIMPLEMENTED", `cannot apply a blob of media type "${mediaType}"`);
}
