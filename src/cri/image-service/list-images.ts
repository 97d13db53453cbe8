// SPDX-License-Identifier: Apache-2.0
import type { ListImagesRequest, ListImagesResponseInit } from "../../gen/cri.gen.ts";
import type { Images } from "../../images/ports.ts";
import { toCriImage } from "./cri-image.ts";

/** ListImages: all, or the one that the filter names. */
export function listImages(images: Images, request: ListImagesRequest): ListImagesResponseInit {
  const wanted = request.filter?.image?.image ?? "";
  if (wanted === "") return { images: images.list().map(toCriImage) };
  const found = images.find(wanted);
  return { images: found ? [toCriImage(found)] : [] };
}
