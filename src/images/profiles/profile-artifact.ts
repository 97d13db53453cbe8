// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import type { Digest } from "../../content/ports.ts";
import type { DocumentReader } from "../manifest/document-reader.ts";
import { MediaType } from "../manifest/media-types.ts";
import type { RegistryClient } from "../registry/registry-client.ts";

/** Ten times what the longest in use have. */
const maxProfileBytes = 128 * 1024;

/** A manifest's one layer, and what it says. */
export interface ProfileArtifact {
  readonly manifest: Digest;
  readonly blob: Digest;
  readonly bytes: Buffer;
}

/**
 * Reads an artifact with one file from its registry. FAILED_PRECONDITION, beginning with `SecurityProfileInvalid`, for
 * an index, an image, and an artifact of no or several files or of too long a one.
 */
export async function readArtifact(
  client: RegistryClient,
  documents: DocumentReader,
  call: Cancellable,
): Promise<ProfileArtifact> {
  const target = await client.resolve(call);
  const bytes = await client.document(target, call);
  const { digest, mediaType } = target;
  const what = `manifest "${digest}"`;
  const manifest = await documents.read({ kind: "manifest", bytes, what, mediaType }, call);
  if (manifest.kind === "index") throw unusable(`"${digest}" is an index`);
  const { config, layers } = manifest;
  if (config.mediaType === MediaType.ociConfig || config.mediaType === MediaType.dockerConfig) {
    throw unusable(`"${digest}" is an image`);
  }
  const [layer] = layers;
  if (layer === undefined || layers.length > 1) {
    throw unusable(`"${digest}" has ${layers.length} files, not one`);
  }
  if (layer.size > maxProfileBytes) {
    throw unusable(`its file has ${layer.size} bytes, more than ${maxProfileBytes}`);
  }
  return {
    manifest: digest,
    blob: layer.digest,
    bytes: await client.document(layer, call),
  };
}

/** By this word a kubelet knows what it must not try again, so it begins the message (cri-api pkg/errors). */
const invalidWord = "SecurityProfileInvalid";

/** An artifact that never becomes a usable profile. */
export function unusable(problem: string, cause?: unknown): Error {
  return fault("FAILED_PRECONDITION", `${invalidWord}: ${problem}`, { cause });
}

/** A request that cannot be carried out, whatever the registry has. */
export function badRequest(problem: string, cause?: unknown): Error {
  return fault("INVALID_ARGUMENT", `${invalidWord}: ${problem}`, { cause });
}
