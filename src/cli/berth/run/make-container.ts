// SPDX-License-Identifier: Apache-2.0

import type { Container } from "../../../client/ports.ts";
import type { TypesMount } from "../../../gen/types.gen.ts";
import { openRootfs } from "../../../oci/rootfs/rootfs-reader.ts";
import type { OciProcess } from "../../../oci/spec.ts";
import { specAny } from "../../../oci/spec-any.ts";
import { workHere } from "../../../trees/run-here.ts";
import type { Session } from "../call-options.ts";
import { openLease } from "../lease.ts";
import { readPairs } from "../pairs.ts";
import { removeSnapshot } from "./remove-snapshot.ts";
import { runSpec, type SpecFlags } from "./run-spec.ts";
import { stopSignalLabel } from "./stop-signal-label.ts";
import { readStoredImage } from "./stored-image.ts";
import { unpackImage } from "./unpack-image.ts";

export interface MakeFlags extends SpecFlags {
  readonly label: readonly string[];
  /** Size of the terminal that a container with one is shown on. */
  readonly consoleSize?: OciProcess["consoleSize"];
  readonly runtime: string;
  readonly snapshotter: string;
}

export interface WantedContainer {
  /** The image's name in the daemon's store. */
  readonly image: string;
  readonly id: string;
  /** The command; empty for the image's. */
  readonly args: readonly string[];
}

const leaseMs = 60 * 60 * 1000;

/**
 * Makes a container from an image of the store: a snapshot of its own, an OCI spec from the image's config and the
 * flags, and the record. A failure half-way is undone.
 */
export async function makeContainer(
  session: Session,
  { image: imageName, id, args }: WantedContainer,
  flags: MakeFlags,
): Promise<Container> {
  const { snapshotter } = flags;
  // Before anything is made: a namespace that is named for the first time would stay.
  const image = await readStoredImage(session, imageName);
  await using lease = await openLease(session, leaseMs);
  await unpackImage(session, image, snapshotter, lease);
  const snapshots = session.client("containerd.services.snapshots.v1.Snapshots");
  const wanted = { snapshotter, key: id, parent: image.chainId };
  const { mounts } = await snapshots.Prepare(wanted, lease.call);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => removeSnapshot(session, snapshotter, id));
  const spec = await runSpec({
    id,
    namespace: session.namespace,
    image: image.settings,
    args,
    flags,
    ...(flags.consoleSize && { consoleSize: flags.consoleSize }),
    rootfs: openRootfs(layersOf(mounts), { work: workHere() }),
    signal: session.call.signal,
  });
  const { stopSignal } = image.settings;
  const container = await session.containers().newContainer(
    {
      id,
      image: image.name,
      labels: {
        ...readPairs("--label", flags.label),
        ...(stopSignal !== "" && { [stopSignalLabel]: stopSignal }),
      },
      runtime: { name: flags.runtime },
      spec: specAny(spec),
      snapshotter,
      snapshotKey: id,
    },
    session.call,
  );
  undo.move();
  return container;
}

/** The folders that a snapshot's mounts consist of, topmost first: they are read without mounting. */
function layersOf(mounts: readonly TypesMount[]): string[] {
  return mounts.flatMap(({ type, source, options }) => {
    if (type !== "overlay") return [source];
    const option = (name: string): string[] =>
      options.filter((one) => one.startsWith(`${name}=`)).map((one) => one.slice(name.length + 1));
    return [...option("upperdir"), ...option("lowerdir").flatMap((list) => list.split(":"))];
  });
}
