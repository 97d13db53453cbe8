// SPDX-License-Identifier: Apache-2.0
import type { Images } from "../../images/ports.ts";
import type { ServiceImpl } from "../../rpc/service.ts";
import { imageFsInfo } from "./image-fs-info.ts";
import { type InspectImage, imageStatus } from "./image-status.ts";
import { listImages, streamImages } from "./list-images.ts";
import { pullImage } from "./pull-image.ts";
import { removeImage } from "./remove-image.ts";

export interface ImageServicePorts {
  readonly images: Images;
  readonly inspect: InspectImage;
}

/** CRI's ImageService over the images of one namespace. */
export function createImageService({
  images,
  inspect,
}: ImageServicePorts): ServiceImpl<"runtime.v1.ImageService"> {
  return {
    ListImages: async (request) => listImages(images, request),
    StreamImages: (request) => streamImages(images, request),
    ImageStatus: (request, call) => imageStatus(images, inspect, request, call),
    PullImage: (request, call) => pullImage(images, request, call),
    RemoveImage: (request, call) => removeImage(images, request, call),
    ImageFsInfo: (_request, call) => imageFsInfo(images, call),
  };
}
