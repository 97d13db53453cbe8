// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { labelField } from "../base/filter.ts";
import { parseDigest } from "../content/digest.ts";
import type { ImagesImage, ImagesImageInit } from "../gen/images.gen.ts";
import type { TypesDescriptor } from "../gen/types.gen.ts";
import type { ImageRecord } from "../images/image-records.ts";
import { checkMask, maskedMap } from "../rpc/field-mask.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import { checkedLabels } from "./updated-labels.ts";

export function imageMessage(image: ImageRecord): ImagesImageInit {
  const { name, labels, target } = image;
  return {
    name,
    labels,
    target: { ...descriptorFields(target), size: BigInt(target.size) },
    createdAt: timestampOf(image.createdAtNanos),
    updatedAt: timestampOf(image.updatedAtNanos),
  };
}

/** A client's image as a record. INVALID_ARGUMENT names what is missing. */
export function newImage(wanted: ImagesImage | null, now: bigint): ImageRecord {
  if (!wanted?.name) throw fault("INVALID_ARGUMENT", "image name must not be empty");
  const { name } = wanted;
  return {
    name,
    labels: checkedLabels(`image "${name}"`, wanted.labels),
    target: checkedTarget(name, wanted.target),
    createdAtNanos: now,
    updatedAtNanos: now,
  };
}

/** The record after an update. Without a mask labels and target are replaced. */
export function updatedImage(
  before: ImageRecord,
  update: ImagesImage,
  paths: readonly string[],
  now: bigint,
): ImageRecord {
  const what = `image "${before.name}"`;
  checkMask(what, paths, ["target"], ["labels", "annotations"]);
  const mask = paths.length === 0 ? ["labels", "target"] : paths;
  const target = mask.includes("target")
    ? checkedTarget(before.name, update.target)
    : before.target;
  const annotations = maskedMap(
    "annotations",
    mask,
    target.annotations,
    update.target?.annotations ?? {},
  );
  return {
    ...before,
    labels: checkedLabels(
      what,
      maskedMap("labels", mask, before.labels, update.labels) ?? before.labels,
    ),
    target: annotations ? { ...target, annotations } : target,
    updatedAtNanos: now,
  };
}

/** What filters see of an image. */
export function imageField(image: ImageRecord, path: readonly string[]): string | undefined {
  const [head, second] = path;
  if (head === "name") return path.length === 1 ? image.name : undefined;
  if (head === "labels") return labelField(image.labels, path);
  if (head === "annotations") return labelField(image.target.annotations, path);
  if (head !== "target" || path.length !== 2) return undefined;
  if (second === "digest") return image.target.digest;
  return second === "mediatype" ? image.target.mediaType : undefined;
}

function checkedTarget(name: string, target: TypesDescriptor | null): ImageRecord["target"] {
  if (!target) throw fault("INVALID_ARGUMENT", `image "${name}" has no target`);
  if (target.size <= 0n) throw fault("INVALID_ARGUMENT", `target of image "${name}" has no size`);
  if (target.mediaType === "") {
    throw fault("INVALID_ARGUMENT", `target of image "${name}" has no media type`);
  }
  return {
    ...descriptorFields(target),
    digest: parseDigest(target.digest),
    size: Number(target.size),
  };
}

function descriptorFields<T extends Pick<TypesDescriptor, "mediaType" | "digest">>({
  mediaType,
  digest,
  annotations,
}: T & { readonly annotations: Readonly<Record<string, string>> }): {
  mediaType: string;
  digest: T["digest"];
  annotations: Record<string, string>;
} {
  return { mediaType, digest, annotations: { ...annotations } };
}
