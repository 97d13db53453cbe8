// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { PodFacts } from "../../events/pod-facts.ts";
import type { Image, Images } from "../../images/ports.ts";
import type { SecurityProfiles } from "../../images/profiles/ports.ts";
import type { Transfer } from "../../images/progress/transfer.ts";

/** What the ImageService stands on. */
export interface ImageServicePorts {
  /** Of one namespace. */
  readonly images: Images;
  readonly profiles: SecurityProfiles;
  /** The pull of this image that runs, by any name for it. */
  readonly transferOf: (reference: string) => Pick<Transfer, "totals"> | undefined;
  /** Where it is told how far slow pulls are. */
  readonly facts: PodFacts;
  /** Reads the image's own config document, in JSON. */
  readonly inspect: (image: Image, call: Cancellable) => Promise<string | undefined>;
}
