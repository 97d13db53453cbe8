// SPDX-License-Identifier: Apache-2.0
import type { ImageStatusRequest, ImageStatusResponseInit } from "../../gen/cri.gen.ts";
import type { Image } from "../../images/ports.ts";
import { toCriImage } from "./cri-image.ts";
import { imageName } from "./image-name.ts";
import type { ImageServicePorts } from "./image-service.ts";

/** ImageStatus: an unknown image is an empty answer, not an error. */
export function imageStatus(
  { images, inspect }: ImageServicePorts,
  request: ImageStatusRequest,
): ImageStatusResponseInit {
  const image = images.find(imageName(request.image));
  if (!image) return { image: null };
  if (!request.verbose) return { image: toCriImage(image) };
  return { image: toCriImage(image), info: { info: describe(image, inspect) } };
}

/** What `crictl inspecti` prints: the chain id and the image's own document. */
function describe(image: Image, inspect: ImageServicePorts["inspect"]): string {
  return JSON.stringify({ chainID: image.chainId, imageSpec: inspect?.(image) ?? {} });
}
