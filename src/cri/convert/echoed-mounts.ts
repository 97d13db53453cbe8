// SPDX-License-Identifier: Apache-2.0
import type { Mount } from "../../gen/cri.gen.ts";
import type { Images } from "../../images/ports.ts";

/**
 * A request's mounts as ContainerStatus tells them: an image that is a volume by its id, whatever name
 * it was asked for by, in both fields. A kubelet collects images that no container's status names so;
 * `image_ref` is to be what PullImage answered.
 */
export function echoedMounts(
  mounts: readonly Mount[],
  images: Pick<Images, "find">,
): readonly Mount[] {
  return mounts.map((mount) => {
    const { image } = mount;
    const found = image === null || image.image === "" ? undefined : images.find(image.image);
    return image === null || found === undefined
      ? mount
      : { ...mount, image: { ...image, image: found.id, imageRef: found.id } };
  });
}
