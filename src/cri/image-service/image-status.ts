// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { ImageStatusRequest, ImageStatusResponseInit } from "../../gen/cri.gen.ts";
import type { Image, Images } from "../../images/ports.ts";
import { toCriImage } from "./cri-image.ts";
import { imageName } from "./image-name.ts";

/** Reads the image's own config document, in JSON. */
export type InspectImage = (image: Image, call: Cancellable) => Promise<string | undefined>;

/** ImageStatus: an unknown image is an empty answer, not an error. Verbose adds the document. */
export async function imageStatus(
  images: Images,
  inspect: InspectImage,
  request: ImageStatusRequest,
  call: Cancellable,
): Promise<ImageStatusResponseInit> {
  const image = images.find(imageName(request.image));
  if (!image) return { image: null };
  if (!request.verbose) return { image: toCriImage(image) };
  return { image: toCriImage(image), info: { info: await describe(image, inspect, call) } };
}

/**
 * What `crictl inspecti` prints: the chain id and the image's own document, as it is: it may be large, and
 * was found to be JSON when the image was pulled.
 */
async function describe(image: Image, inspect: InspectImage, call: Cancellable): Promise<string> {
  const document = (await inspect(image, call)) ?? "{}";
  return `{"chainID":${JSON.stringify(image.chainId)},"imageSpec":${document}}`;
}
