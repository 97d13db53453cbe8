// SPDX-License-Identifier: Apache-2.0
import { nowNanos } from "../../base/now.ts";
import type { FilesystemUsageInit } from "../../gen/cri.gen.ts";
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "images">;

/** ImageFsInfo: containers write on the file system that holds the images, so both answers are one. */
export function imageFsInfo({ images }: Needs): Verb<"ImageFsInfo"> {
  return async (_request, call) => {
    const { mountpoint, usedBytes, inodes } = await images.usage(call);
    const usage: FilesystemUsageInit = {
      timestamp: nowNanos(),
      fsId: { mountpoint },
      usedBytes: { value: usedBytes },
      inodesUsed: { value: inodes },
    };
    return { imageFilesystems: [usage], containerFilesystems: [usage] };
  };
}
