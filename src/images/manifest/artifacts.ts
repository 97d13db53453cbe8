// SPDX-License-Identifier: Apache-2.0
import type { Manifest } from "./documents.ts";
import { MediaType } from "./media-types.ts";

/** What people call the artifacts that registries hold beside images, by their media types. */
const names: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/\bhelm\b/i, "a Helm chart"],
  [/\b(cosign|sigstore|notary|simplesigning)\b/i, "a signature"],
  [/\b(in-toto|spdx|cyclonedx|syft)\b/i, "an attestation or a list of contents"],
  [/\bwasm\b/i, "a WebAssembly module"],
  [/\bollama\b|\bmodel\b/i, "a model"],
];

const imageConfigs: readonly string[] = [MediaType.ociConfig, MediaType.dockerConfig, ""];
/** Types of layers that hold a tar archive, or may. */
const archiveType = /\btar\b|octet-stream|gzip|zstd|^$/i;

/** Whether the layers can be archives of files. */
export function hasArchives({ layers }: Manifest): boolean {
  return layers.every(({ mediaType }) => archiveType.test(mediaType));
}

/**
 * What a manifest that is read in vain as an image's is, for a message; undefined for one that says that it is an image.
 */
export function artifactName({ config, layers, artifactType }: Manifest): string | undefined {
  const type = imageConfigs.includes(config.mediaType)
    ? layers.find(({ mediaType }) => !archiveType.test(mediaType))?.mediaType
    : artifactType || config.mediaType;
  if (type === undefined) return undefined;
  const known = names.find(([pattern]) => pattern.test(type));
  return `${known?.[1] ?? "an artifact"} ("${type}")`;
}
