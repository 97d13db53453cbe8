// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { ImageSpec } from "../../gen/cri.gen.ts";

/** The image that a request is about; INVALID_ARGUMENT when it names none. */
export function imageName(spec: ImageSpec | null): string {
  const name = spec?.image ?? "";
  if (name === "") throw fault("INVALID_ARGUMENT", "request names no image");
  return name;
}
