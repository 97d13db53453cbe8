// SPDX-License-Identifier: Apache-2.0
import type { ImageStatusRequest, ImageStatusResponseInit } from "../../gen/cri.gen.ts";
import type { Image, Images } from "../../images/ports.ts";
import { toCriImage } from "./cri-image.ts";
import { imageName } from "./image-name.ts";

/** Reads the image's own config document. */
export type InspectImage = (image: Image) => unknown;

/** ImageStatus: an unknown image is an empty answer, not an error. Verbose adds the document. */
export function imageStatus(
  images: Images,
  inspect: InspectImage,
  request: ImageStatusRequest,
): ImageStatusResponseInit {
  const image = images.find(imageName(request.image));
  if (!image) return { image: null };
  if (!request.verbose) return { image: toCriImage(image) };
  return { image: toCriImage(image), info: { info: describe(image, inspect) } };
}

/** What `crictl inspecti` prints: the chain id and the image's own document. */
function describe(image: Image, inspect: InspectImage): string {
  return JSON.stringify({ chainID: image.chainId, imageSpec: inspect(image) ?? {} });
}
