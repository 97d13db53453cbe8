// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { Image } from "../../images/ports.ts";
import { EncodedMessage } from "../../rpc/encoded-message.ts";
import { encodedImage } from "./cri-image.ts";
import { imageName } from "./image-name.ts";
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "images" | "inspect">;

/** ImageStatus: an unknown image is an empty answer, not an error. Verbose adds the document. */
export function imageStatus({ images, inspect }: Needs): Verb<"ImageStatus"> {
  return async (request, call) => {
    const image = images.find(imageName(request.image));
    if (!image) return { image: null };
    const info = request.verbose ? await describe(image, inspect, call) : undefined;
    return EncodedMessage.of(
      "runtime.v1.ImageStatusResponse",
      { image: encodedImage(image) },
      info === undefined ? undefined : { info: { info } },
    );
  };
}

/**
 * What `crictl inspecti` prints: the chain id and the image's own document, as it is: it may be large, and
 * was found to be JSON when the image was pulled.
 */
async function describe(
  image: Image,
  inspect: Needs["inspect"],
  call: Cancellable,
): Promise<string> {
  const document = (await inspect(image, call)) ?? "{}";
  return `{"chainID":${JSON.stringify(image.chainId)},"imageSpec":${document}}`;
}
