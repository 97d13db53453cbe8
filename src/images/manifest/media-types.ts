// SPDX-License-Identifier: Apache-2.0
import { fieldOf, parseJson } from "./go-json.ts";

export const MediaType = {
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
} as const;

const indexes: readonly string[] = [MediaType.ociIndex, MediaType.dockerList];
const manifests: readonly string[] = [MediaType.ociManifest, MediaType.dockerManifest];
const configs: readonly string[] = [MediaType.ociConfig, MediaType.dockerConfig, ""];

export function isIndexType(mediaType: string): boolean {
  return indexes.includes(mediaType);
}

export function isManifestType(mediaType: string): boolean {
  return manifests.includes(mediaType);
}

/** The type of an index or a manifest that we read. */
export function isKnownManifest(mediaType: string): boolean {
  return isIndexType(mediaType) || isManifestType(mediaType);
}

/** Whether a manifest's config is an image's; some tools name no type. */
export function isImageConfig(mediaType: string): boolean {
  return configs.includes(mediaType);
}

/** The types that we ask registries for, best first. */
export const acceptedManifests: string = [...indexes, ...manifests].join(", ");

/**
 * The type of a manifest or index whose server names none: its own field, else what its content suggests. Bytes that
 * are neither are taken for a manifest, and its reader refuses them.
 */
export function manifestTypeOf(stated: string, bytes: Uint8Array): string {
  if (isKnownManifest(stated)) return stated;
  try {
    const document = parseJson(bytes, "manifest");
    const own = fieldOf(document, "mediaType");
    if (typeof own === "string" && isKnownManifest(own)) return own;
    const hasManifests = fieldOf(document, "manifests") !== undefined;
    return hasManifests ? MediaType.ociIndex : MediaType.ociManifest;
  } catch {
    return MediaType.ociManifest;
  }
}
