// SPDX-License-Identifier: Apache-2.0
import type { AuthConfig } from "../../gen/cri.gen.ts";
import type { RegistryAuth } from "../../images/ports.ts";
import { imageName } from "./image-name.ts";
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "images">;

/** PullImage: answers the id by which every other call knows the image. */
export function pullImage({ images }: Needs): Verb<"PullImage"> {
  return async (request, { signal }) => {
    const auth = request.auth ? toAuth(request.auth) : undefined;
    const image = await images.pull(imageName(request.image), { ...(auth && { auth }), signal });
    return { imageRef: image.id };
  };
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
