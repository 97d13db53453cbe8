// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";

/** A new id of a sandbox or container: 64 hexadecimal digits. */
export function newObjectId(): string {
  return randomBytes(32).toString("hex");
}
