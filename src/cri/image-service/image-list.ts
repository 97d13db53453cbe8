// SPDX-License-Identifier: Apache-2.0
import type { ImageInit, ListImagesRequest, StreamImagesRequest } from "../../gen/cri.gen.ts";
import type { Images } from "../../images/ports.ts";
import { chunksOf } from "../convert/chunks.ts";
import { toCriImage } from "./cri-image.ts";
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "images">;

/** ListImages: all, or the one that the filter names. */
export function listImages({ images }: Needs): Verb<"ListImages"> {
  return async (request) => ({ images: select(images, request) });
}

/** StreamImages: the same images, each once, in messages of a bounded size. */
export function streamImages({ images }: Needs): Verb<"StreamImages"> {
  return async function* (request) {
    for (const chunk of chunksOf(select(images, request), "runtime.v1.Image")) {
      yield { images: chunk };
    }
  };
}

function select(images: Images, { filter }: ListImagesRequest | StreamImagesRequest): ImageInit[] {
  const wanted = filter?.image?.image ?? "";
  if (wanted === "") return images.list().map(toCriImage);
  const found = images.find(wanted);
  return found ? [toCriImage(found)] : [];
}
