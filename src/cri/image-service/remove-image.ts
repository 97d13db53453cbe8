// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { RemoveImageRequest, RemoveImageResponseInit } from "../../gen/cri.gen.ts";
import type { Images } from "../../images/ports.ts";
import { imageName } from "./image-name.ts";

/** RemoveImage: all names of the image; nothing to do when it is gone. */
export async function removeImage(
  images: Images,
  request: RemoveImageRequest,
  { signal }: Cancellable,
): Promise<RemoveImageResponseInit> {
  await images.remove(imageName(request.image), { signal });
  return {};
}
