// SPDX-License-Identifier: Apache-2.0
import { imageName } from "./image-name.ts";
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "images">;

/** RemoveImage: all names of the image; nothing to do when it is gone. */
export function removeImage({ images }: Needs): Verb<"RemoveImage"> {
  return async ({ image }, { signal }) => {
    await images.remove(imageName(image), { signal });
    return {};
  };
}
