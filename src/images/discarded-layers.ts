// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { Digest } from "../content/ports.ts";
import type { SnapshotInfo } from "../snapshots/ports.ts";
import { committedLayer, type NamespaceLayers } from "./committed-layer.ts";
import { hasLabels, type ImageSource, type Labels } from "./image-source.ts";
import type { LabelTreeOptions } from "./label-tree.ts";
import type { Descriptor } from "./manifest/documents.ts";
import { sourcesIn } from "./registry/source-label.ts";

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
  layers: NamespaceLayers,
  chainId: string,
  blob: Digest,
): SnapshotInfo | undefined {
  const info = committedLayer(layers, chainId);
  return info?.labels[blobLabel] === blob ? info : undefined;
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
  const blob = { digest: layer.digest, labels: made.labels };
  if (source.gives(blob)) return true;
  if (!(await source.vouchesFor(blob, call))) return false;
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
  await setLabels(options, chainId, made.labels, sourcesIn(known.labels));
}

async function setLabels(
  { snapshotter, namespace }: LabelTreeOptions,
  chainId: Digest,
  known: Labels,
  wanted: Labels,
): Promise<void> {
  if (hasLabels(known, wanted)) return;
  await snapshotter.update(namespace, chainId, { ...known, ...wanted });
}
