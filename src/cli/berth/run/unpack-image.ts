// SPDX-License-Identifier: Apache-2.0
import { fault, isFault } from "../../../base/errors.ts";
import { chainIds } from "../../../images/chain-id.ts";
import type { Session } from "../call-options.ts";
import type { Lease } from "../lease.ts";
import { removeSnapshot } from "./remove-snapshot.ts";
import type { StoredImage } from "./stored-image.ts";

const marker = "containerd.io/gc.ref.snapshot.";

/**
 * Unpacks what a client has brought without doing so, layer by layer, as containerd's own clients do. Nothing is done for
 * an image that is unpacked. It stays as long as the image does; until that is said, the lease keeps it.
 *
 * A layer's name is made of what the config says it holds, and others that say the same get it: DATA_LOSS for one that
 * turns out to hold something else.
 */
export async function unpackImage(
  session: Session,
  { name: image, config, diffIds, layers, chainId }: StoredImage,
  snapshotter: string,
  lease: Lease,
): Promise<void> {
  const snapshots = session.client("containerd.services.snapshots.v1.Snapshots");
  const isThere = async (key: string): Promise<boolean> => {
    try {
      await snapshots.Stat({ snapshotter, key }, lease.call);
      return true;
    } catch (error) {
      if (!isFault(error, "NOT_FOUND")) throw error;
      return false;
    }
  };
  if (layers.length !== diffIds.length) {
    throw fault(
      "FAILED_PRECONDITION",
      `image "${image}" has ${layers.length} layers, but its config tells of ${diffIds.length}`,
    );
  }
  if (chainId === "" || (await isThere(chainId))) return;
  const diffs = session.client("containerd.services.diff.v1.Diff");
  let parent = "";
  for (const [at, name] of chainIds(diffIds).entries()) {
    if (!(await isThere(name))) {
      const key = `extract-berth-${crypto.randomUUID()} ${name}`;
      const { mounts } = await snapshots.Prepare({ snapshotter, key, parent }, lease.call);
      await using undo = new AsyncDisposableStack();
      undo.defer(() => removeSnapshot(session, snapshotter, key));
      const diff = layers[at] ?? null;
      const { applied } = await diffs.Apply({ diff, mounts }, lease.call);
      if (applied?.digest !== diffIds[at]) {
        throw fault(
          "DATA_LOSS",
          `layer "${diff?.digest}" of image "${image}" holds "${applied?.digest}", its config says "${diffIds[at]}"`,
        );
      }
      try {
        await snapshots.Commit({ snapshotter, key, name }, lease.call);
        undo.move();
      } catch (error) {
        // Somebody else has unpacked it meanwhile.
        if (!isFault(error, "ALREADY_EXISTS")) throw error;
      }
    }
    parent = name;
  }
  const label = `${marker}${snapshotter}`;
  await session.client("containerd.services.content.v1.Content").Update(
    {
      info: { digest: config.digest, labels: { [label]: chainId } },
      updateMask: { paths: [`labels.${label}`] },
    },
    lease.call,
  );
}
