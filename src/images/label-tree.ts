// SPDX-License-Identifier: Apache-2.0
import type { ContentStore, Digest } from "../content/ports.ts";
import { contentReference, snapshotReference } from "../metadata/references.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import { discarded } from "./discarded-layers.ts";
import { hasLabels, plainDigestLabel } from "./image-source.ts";
import type { ImageTree } from "./image-tree.ts";

export interface LabelTreeOptions {
  readonly namespace: string;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
}

/**
 * Writes containerd's reference labels onto an image's documents: the index refers to its manifest, the manifest to
 * its config and layers, the config to its topmost layer's snapshot. With them every garbage collector sees what
 * belongs to the image. Layers are labelled with the digest of their plain archive, which unpacking has shown. With
 * `withoutLayers` the manifest refers to none: they may go.
 */
export async function labelTree(
  { namespace, content, snapshotter }: LabelTreeOptions,
  { manifest, manifestDigest, blobs, id, chainIds, document }: ImageTree,
  { withoutLayers = false }: { readonly withoutLayers?: boolean } = {},
): Promise<void> {
  const labels = new Map<Digest, Record<string, string>>();
  const refer = (from: Digest, label: string, to: string): void => {
    labels.set(from, { ...labels.get(from), [label]: to });
  };
  // The blobs are in the order of reading: indexes, if any, then the manifest.
  for (const [at, index] of blobs.slice(0, blobs.indexOf(manifestDigest)).entries()) {
    refer(index, `${contentReference}.m.0`, blobs[at + 1] ?? manifestDigest);
  }
  refer(manifestDigest, `${contentReference}.config`, id);
  for (const [at, { digest }] of manifest.layers.entries()) {
    refer(manifestDigest, `${contentReference}.l.${at}`, withoutLayers ? "" : digest);
    const diffId = document.diffIds[at];
    if (diffId !== undefined) refer(digest, plainDigestLabel, diffId);
  }
  for (const [name, value] of Object.entries(discarded)) {
    refer(manifestDigest, name, withoutLayers ? value : "");
  }
  const top = chainIds.at(-1);
  if (top !== undefined) refer(id, `${snapshotReference}.${snapshotter.name}`, top);
  await Promise.all(
    [...labels].map(async ([digest, wanted]) => {
      const known = content.info(namespace, digest)?.labels;
      if (!known || hasLabels(known, wanted)) return;
      const merged = Object.entries({ ...known, ...wanted });
      const labels = Object.fromEntries(merged.filter(([key, value]) => !(key in wanted) || value));
      await content.setLabels(namespace, digest, labels);
    }),
  );
}
