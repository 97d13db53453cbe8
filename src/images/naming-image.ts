// SPDX-License-Identifier: Apache-2.0
import { fault, RuntimeFault } from "../base/errors.ts";

/** The same fault, which names the image that was pulled: what stores and extractions say does not. */
export function namingImage(error: unknown, image: string): unknown {
  if (!(error instanceof RuntimeFault) || error.message.includes(image)) return error;
  const { code, message, details } = error;
  return fault(code, `cannot pull "${image}": ${message}`, {
    cause: error,
    ...(details && { details }),
  });
}
