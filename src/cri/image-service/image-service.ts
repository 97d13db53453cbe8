// SPDX-License-Identifier: Apache-2.0
import type { ServiceImpl } from "../../rpc/service.ts";
import { imageFsInfo } from "./image-fs-info.ts";
import { listImages, streamImages } from "./image-list.ts";
import { pullImage } from "./image-pull.ts";
import { removeImage } from "./image-remove.ts";
import { imageStatus } from "./image-status.ts";
import type { ImageServicePorts } from "./ports.ts";
import { listSecurityProfiles } from "./profile-list.ts";
import { pullSecurityProfile } from "./profile-pull.ts";
import { removeSecurityProfile } from "./profile-remove.ts";

/** CRI's ImageService over the images of one namespace. */
export function createImageService(
  ports: ImageServicePorts,
): Required<ServiceImpl<"runtime.v1.ImageService">> {
  return {
    ListImages: listImages(ports),
    StreamImages: streamImages(ports),
    ImageStatus: imageStatus(ports),
    PullImage: pullImage(ports),
    RemoveImage: removeImage(ports),
    ImageFsInfo: imageFsInfo(ports),
    PullSecurityProfile: pullSecurityProfile(ports),
    ListSecurityProfiles: listSecurityProfiles(ports),
    RemoveSecurityProfile: removeSecurityProfile(ports),
  };
}
