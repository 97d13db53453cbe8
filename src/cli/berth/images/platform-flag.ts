// SPDX-License-Identifier: Apache-2.0
import { isFault } from "../../../base/errors.ts";
import { usageFault } from "../../usage-fault.ts";

/** For a `--platform` that is none, whatever the image is for: a fault of the command line. */
export async function checkPlatformFlag(text: string | undefined): Promise<void> {
  if (text === undefined) return;
  const { parsePlatform } = await import("../../../images/manifest/platform.ts");
  try {
    parsePlatform(text);
  } catch (error) {
    throw isFault(error) ? usageFault(error.message) : error;
  }
}
