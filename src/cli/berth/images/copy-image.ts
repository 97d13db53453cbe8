// SPDX-License-Identifier: Apache-2.0
import { type Cancellable, cleanupDeadline } from "../../../base/cancellable.ts";
import { fault, isFault } from "../../../base/errors.ts";
import { mapAtOnce } from "../../../base/map-at-once.ts";
import type { BerthTransferStep } from "../../../gen/berth.gen.ts";
import type { Image } from "../../../gen/cri.gen.ts";
import type { TypesDescriptor } from "../../../gen/types.gen.ts";
import { contentReference } from "../../../metadata/references.ts";
import { criNamespace } from "../call-options.ts";
import type { Lease } from "../lease.ts";
import { copyBlob } from "./copy-blob.ts";
import { type PlannedImage, planArchive } from "./export-archive.ts";
import type { ImageRecord, ImageStore } from "./image-record.ts";

/** What became of a name: its image was brought, it was there already, or the name was all that was missing. */
export type Copied = "copied" | "exists" | "tagged";

export interface CopyWork {
  readonly from: ImageStore;
  /** Where to, under a lease. */
  readonly to: ImageStore;
  readonly lease: Pick<Lease, "hold">;
  /** Take the name from another image. */
  readonly force: boolean;
  /** Extract its layers as well. */
  readonly unpack: boolean;
  readonly onSteps: (steps: readonly BerthTransferStep[]) => void;
}

const layersAtOnce = 3;

/**
 * Copies what a name leads to, as far as it is for this machine's platform, and gives it the name. FAILED_PRECONDITION when the other
 * daemon lacks a part of it, ALREADY_EXISTS when the name is another image's here.
 */
export async function copyImage(work: CopyWork, record: ImageRecord): Promise<Copied> {
  const { from, to, force, unpack } = work;
  const there = await namedImage(to, record.name);
  const isSame = there?.digest === record.target.digest;
  if (there !== undefined && !isSame && !force) {
    throw fault(
      "ALREADY_EXISTS",
      `the name is another image's here (${there.digest}): --force takes it`,
    );
  }
  const { images } = await planArchive(from, [record], { allPlatforms: false });
  let isNew = false;
  for (const image of images) isNew = (await copyBlobs(work, image)) || isNew;
  await using undo = new AsyncDisposableStack();
  if (!isSame) {
    const before = await knownImage(to, record, to.call);
    // Behind the name, which is undone first: the image's id has a record too, once CRI knows it.
    if (before === null) undo.defer(() => forgetImage(to, record).catch(() => {}));
    // Nothing else may lead to what gives its name up, until it is known whether it gets it back.
    if (there !== undefined) await work.lease.hold(there.digest);
    await nameImage(to, record, there !== undefined);
    // What cannot be unpacked, as on a full disk, is not here: neither its name nor what it holds.
    undo.defer(() => unnameImage(to, record, there).catch(() => {}));
  }
  // In another namespace nobody knows whether they are ever unpacked, and by whom.
  if (unpack && to.namespace === criNamespace) {
    await to.client("berth.v1.Images").Unpack({ image: record.target.digest }, to.call);
  }
  undo.move();
  if (isNew) return "copied";
  return isSame ? "exists" : "tagged";
}

/** Base first, so that a document is there once all that it leads to is. True when something was missing. */
async function copyBlobs({ from, to, onSteps }: CopyWork, image: PlannedImage): Promise<boolean> {
  const root = image.record.target;
  let isNew = false;
  const copy = async (blob: LabelledBlob): Promise<void> => {
    const onBytes = (done: number, state: string): void =>
      onSteps([
        {
          digest: blob.digest,
          kind: blob.kind,
          state,
          doneBytes: BigInt(done),
          totalBytes: BigInt(blob.size),
        },
      ]);
    const isCopied = await copyBlob({ from, to, onBytes }, blob);
    isNew ||= isCopied;
  };
  for (const { digest, size, manifest } of image.manifests) {
    await mapAtOnce(manifest.layers, layersAtOnce, (layer) =>
      copy({ ...layer, kind: "layer", labels: {} }),
    );
    await copy({ ...manifest.config, kind: "config", labels: {} });
    const labels = Object.fromEntries([
      [`${contentReference}.config`, manifest.config.digest],
      ...manifest.layers.map((layer, at) => [`${contentReference}.l.${at}`, layer.digest]),
    ]) as Record<string, string>;
    await copy({ digest, size, kind: "manifest", labels });
  }
  if (image.manifests.some(({ digest }) => digest === root.digest)) return isNew;
  const labels = Object.fromEntries(
    image.manifests.map(({ digest }, at) => [`${contentReference}.m.${at}`, digest]),
  );
  await copy({ digest: root.digest, size: Number(root.size), kind: "manifest", labels });
  return isNew;
}

interface LabelledBlob {
  readonly digest: string;
  readonly size: number;
  readonly kind: "layer" | "config" | "manifest";
  readonly labels: Readonly<Record<string, string>>;
}

/** What a name leads to; undefined when there is none. */
async function namedImage(to: ImageStore, name: string): Promise<TypesDescriptor | undefined> {
  try {
    const { image } = await to
      .client("containerd.services.images.v1.Images")
      .Get({ name }, to.scoped);
    return image?.target ?? undefined;
  } catch (error) {
    if (isFault(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

/** Not under the command's signal: after an interrupt in the middle nobody would know whether the name is to be given back. */
async function nameImage(
  to: ImageStore,
  { name, target }: ImageRecord,
  isThere: boolean,
): Promise<void> {
  const images = to.client("containerd.services.images.v1.Images");
  const image = { name, target };
  const call = { ...to.scoped, signal: cleanupDeadline() };
  if (isThere) await images.Update({ image, updateMask: { paths: ["target"] } }, call);
  else await images.Create({ image }, call);
}

/** Gives a name back to what had it before. Not under the command's signal: whoever interrupts it wants this too. */
async function unnameImage(
  to: ImageStore,
  { name, target }: ImageRecord,
  before: TypesDescriptor | undefined,
): Promise<void> {
  const images = to.client("containerd.services.images.v1.Images");
  const call = { ...to.scoped, signal: cleanupDeadline() };
  if (before === undefined) await images.Delete({ name, target }, call);
  else {
    const image = { name, target: before };
    await images.Update({ image, updateMask: { paths: ["target"] } }, call);
  }
}

/** What CRI knows of it, by whatever name. */
async function knownImage(
  to: ImageStore,
  { target }: ImageRecord,
  call: Cancellable,
): Promise<Image | null> {
  if (to.namespace !== criNamespace) return null;
  const request = { image: { image: target.digest } };
  return (await to.client("runtime.v1.ImageService").ImageStatus(request, call)).image;
}

/**
 * Has CRI forget an image that has no name, unless somebody else has given it one meanwhile. Only the record by its id is removed, and
 * not all its names, as CRI's RemoveImage would: a pull that names it just now keeps its name.
 */
async function forgetImage(to: ImageStore, record: ImageRecord): Promise<void> {
  const cleanup = { signal: cleanupDeadline() };
  const known = await knownImage(to, record, cleanup);
  if (!known || known.repoTags.length > 0 || known.repoDigests.length > 0) return;
  const images = to.client("containerd.services.images.v1.Images");
  await images.Delete({ name: known.id, target: record.target }, { ...to.scoped, ...cleanup });
}
