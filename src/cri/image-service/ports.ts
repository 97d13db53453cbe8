// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { Image, Images } from "../../images/ports.ts";
import type { SecurityProfiles } from "../../images/profiles/ports.ts";

/** What the ImageService stands on. */
export interface ImageServicePorts {
  /** Of one namespace. */
  readonly images: Images;
  readonly profiles: SecurityProfiles;
  /** Reads the image's own config document, in JSON. */
  readonly inspect: (image: Image, call: Cancellable) => Promise<string | undefined>;
}
