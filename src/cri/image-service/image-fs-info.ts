// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { nowNanos } from "../../base/now.ts";
import type { FilesystemUsageInit, ImageFsInfoResponseInit } from "../../gen/cri.gen.ts";
import type { Images } from "../../images/ports.ts";

/** ImageFsInfo: containers write on the file system that holds the images, so both answers are one. */
export async function imageFsInfo(
  images: Images,
  call: Cancellable,
): Promise<ImageFsInfoResponseInit> {
  const { mountpoint, usedBytes, inodes } = await images.usage(call);
  const usage: FilesystemUsageInit = {
    timestamp: nowNanos(),
    fsId: { mountpoint },
    usedBytes: { value: usedBytes },
    inodesUsed: { value: inodes },
  };
  return { imageFilesystems: [usage], containerFilesystems: [usage] };
}
