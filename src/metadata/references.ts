// SPDX-License-Identifier: Apache-2.0
import type { Resource } from "./leases.ts";

/** containerd's labels by which an object says what else must stay for its sake. */
const referencePrefix = "containerd.io/gc.ref.";
/** An object with this label is a root itself. */
export const rootLabel = "containerd.io/gc.root";
/** A lease with this label holds its things alone, not what they refer to. */
export const flatLabel = "containerd.io/gc.flat";

export const contentReference = `${referencePrefix}content`;
export const snapshotReference = `${referencePrefix}snapshot`;

/**
 * What an object's labels refer to: `gc.ref.content` and `gc.ref.snapshot.<snapshotter>`, each with a
 * free suffix after a "." or "/" so that there can be many of them.
 */
export function* referencesOf(labels: Readonly<Record<string, string>>): Generator<Resource> {
  for (const [label, id] of Object.entries(labels)) {
    if (!label.startsWith(referencePrefix) || id === "") continue;
    const kind = label.slice(referencePrefix.length);
    if (/^content([./]|$)/.test(kind)) yield { type: "content", id };
    else if (/^image([./]|$)/.test(kind)) yield { type: "images", id };
    else if (kind.startsWith("snapshot.")) {
      const [snapshotter] = kind.slice("snapshot.".length).split("/");
      yield { type: `snapshots/${snapshotter}`, id };
    }
  }
}
