// SPDX-License-Identifier: Apache-2.0
import { nowNanos } from "../../base/now.ts";
import type { FilesystemUsageInit } from "../../gen/cri.gen.ts";
import type { DiskUsage } from "../../images/ports.ts";
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "images">;

/**
 * ImageFsInfo. Containers write on the file system that holds the layers, which is the first of those of images: so a
 * kubelet takes them for one.
 */
export function imageFsInfo({ images }: Needs): Verb<"ImageFsInfo"> {
  return async (_request, call) => {
    const [layers, ...others] = await images.usage(call);
    const timestamp = nowNanos();
    const told = ({ folder, bytes, inodes }: DiskUsage): FilesystemUsageInit => ({
      timestamp,
      fsId: { mountpoint: folder },
      usedBytes: { value: bytes },
      inodesUsed: { value: inodes },
    });
    return {
      imageFilesystems: [layers, ...others].map(told),
      containerFilesystems: [told(layers)],
    };
  };
}
