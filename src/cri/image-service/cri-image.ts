// SPDX-License-Identifier: Apache-2.0
import type { ImageInit } from "../../gen/cri.gen.ts";
import type { Image } from "../../images/ports.ts";
import { KeptEncodings } from "../../rpc/encoded-message.ts";

/**
 * An image as CRI shows it. Kubelet reads who it runs as for `runAsNonRoot`: a number goes into `uid`,
 * a name into `username`, and an image that says nothing runs as 0.
 */
export function toCriImage(image: Image): ImageInit {
  return {
    id: image.id,
    repoTags: image.repoTags,
    repoDigests: image.repoDigests,
    size: image.sizeBytes,
    pinned: image.pinned,
    spec: { image: image.id },
    ...userOf(image.config.user),
  };
}

function userOf(user: string): Pick<ImageInit, "uid" | "username"> {
  const [name = ""] = user.split(":");
  if (name === "") return { uid: { value: 0n } };
  return /^\d{1,18}$/.test(name) ? { uid: { value: BigInt(name) } } : { username: name };
}

/** The images stay the same objects until one of their records changes. */
const encodings = new KeptEncodings("runtime.v1.Image", toCriImage);

/** `toCriImage`, encoded. The bytes are kept with the image. */
export function encodedImage(image: Image): Buffer {
  return encodings.of(image);
}
