// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { AuthConfig, PullImageRequest, PullImageResponseInit } from "../../gen/cri.gen.ts";
import type { Images, RegistryAuth } from "../../images/ports.ts";
import { imageName } from "./image-name.ts";

/** PullImage: answers the id by which every other call knows the image. */
export async function pullImage(
  images: Images,
  request: PullImageRequest,
  { signal }: Cancellable,
): Promise<PullImageResponseInit> {
  const auth = request.auth ? toAuth(request.auth) : undefined;
  const image = await images.pull(imageName(request.image), { ...(auth && { auth }), signal });
  return { imageRef: image.id };
}

/** Without the fields that protobuf fills with "". */
function toAuth(config: AuthConfig): RegistryAuth | undefined {
  const given = Object.entries({
    username: config.username,
    password: config.password,
    auth: config.auth,
    identityToken: config.identityToken,
    registryToken: config.registryToken,
    serverAddress: config.serverAddress,
  }).filter(([, value]) => value !== "");
  return given.length === 0 ? undefined : (Object.fromEntries(given) as RegistryAuth);
}
