// SPDX-License-Identifier: Apache-2.0
import type { ListImagesRequest, StreamImagesRequest } from "../../gen/cri.gen.ts";
import type { Images } from "../../images/ports.ts";
import { EncodedMessage } from "../../rpc/encoded-message.ts";
import { messagesOf } from "../convert/chunks.ts";
import { encodedImage } from "./cri-image.ts";
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "images">;

/** ListImages: all, or the one that the filter names. */
export function listImages({ images }: Needs): Verb<"ListImages"> {
  return async (request) =>
    EncodedMessage.of("runtime.v1.ListImagesResponse", { images: select(images, request) });
}

/** StreamImages: the same images, each once, in messages of a bounded size. */
export function streamImages({ images }: Needs): Verb<"StreamImages"> {
  return async function* (request) {
    yield* messagesOf("runtime.v1.StreamImagesResponse", "images", select(images, request));
  };
}

function select(images: Images, { filter }: ListImagesRequest | StreamImagesRequest): Buffer[] {
  const wanted = filter?.image?.image ?? "";
  if (wanted === "") return images.list().map(encodedImage);
  const found = images.find(wanted);
  return found ? [encodedImage(found)] : [];
}
