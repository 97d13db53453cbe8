// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { isFault } from "../base/errors.ts";
import type { Digest } from "../content/ports.ts";
import type { SnapshotInfo } from "../snapshots/ports.ts";
import type { ImageSource, Labels } from "./image-source.ts";
import type { LabelTreeOptions } from "./label-tree.ts";
import type { Descriptor } from "./manifest/documents.ts";

// An image's layers need not stay once they are unpacked (`discard_unpacked_layers`). What the blobs' labels told is then
// told by the snapshots': which blob a layer was made from, and which repositories have given it.

/** Label of a committed layer: the blob that it was made from. */
export const blobLabel = "io.berth.layer.blob";
/** Label of a manifest whose layers need not stay. */
const discardedLabel = "io.berth.image.layers";
export const discarded: Labels = { [discardedLabel]: "discarded" };

/** Whether a manifest's layers may go, by its labels. */
export function isDiscarded(manifest: Labels | undefined): boolean {
  return manifest?.[discardedLabel] === "discarded";
}

/** The committed snapshot of a chain, if it was made from this blob. */
export function madeFrom(
  { snapshotter, namespace }: Pick<LabelTreeOptions, "snapshotter" | "namespace">,
  chainId: string,
  blob: Digest,
): SnapshotInfo | undefined {
  try {
    const info = snapshotter.stat(namespace, chainId);
    return info.kind === "COMMITTED" && info.labels[blobLabel] === blob ? info : undefined;
  } catch (error) {
    if (isFault(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

/** A layer and the chain that it completes. */
export interface ChainedLayer {
  readonly layer: Descriptor;
  readonly chainId: Digest;
}

/**
 * Whether an unpacked layer does in place of its blob, which is not here: it was made from that very blob, and the source
 * gives it to whoever pulls. Throws the source's refusal.
 */
export async function standsFor(
  options: LabelTreeOptions,
  { layer, chainId }: ChainedLayer,
  source: ImageSource,
  call: Cancellable,
): Promise<boolean> {
  const made = madeFrom(options, chainId, layer.digest);
  if (!made) return false;
  if (source.gives({ digest: layer.digest, labels: made.labels })) return true;
  await source.assertGives(layer, call);
  // It may have been made anew meanwhile, or have other sources.
  const still = madeFrom(options, chainId, layer.digest);
  if (still) await setLabels(options, chainId, still.labels, source.labels(still.labels));
  return still !== undefined;
}

/** Notes on an unpacked layer which repositories have given its blob, before that goes. */
export async function noteSources(
  options: LabelTreeOptions,
  { layer, chainId }: ChainedLayer,
): Promise<void> {
  const made = madeFrom(options, chainId, layer.digest);
  const known = options.content.info(options.namespace, layer.digest);
  if (!made || !known) return;
  const sources = Object.entries(known.labels).filter(([name]) => name.startsWith(sourcePrefix));
  await setLabels(options, chainId, made.labels, Object.fromEntries(sources));
}

const sourcePrefix = "containerd.io/distribution.source.";

async function setLabels(
  { snapshotter, namespace }: LabelTreeOptions,
  chainId: Digest,
  known: Labels,
  wanted: Labels,
): Promise<void> {
  if (Object.entries(wanted).every(([name, value]) => known[name] === value)) return;
  await snapshotter.update(namespace, chainId, { ...known, ...wanted });
}
