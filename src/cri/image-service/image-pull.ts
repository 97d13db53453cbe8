// SPDX-License-Identifier: Apache-2.0
import { fault, toFault } from "../../base/errors.ts";
import { isUnreached } from "../../images/registry/http-client.ts";
import { isRegistryUnavailable } from "../../images/registry/registry-fault.ts";
import { podName } from "../facts/pod-of.ts";
import { tellPullProgress } from "../facts/pull-progress.ts";
import { registryAuth } from "./auth-config.ts";
import { imageName } from "./image-name.ts";
import type { ImageServicePorts } from "./ports.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<ImageServicePorts, "facts" | "images" | "transferOf">;

/**
 * By this word a kubelet tells that a registry cannot be had now, and not that something is wrong with the
 * image: at the beginning of a message, and of code UNKNOWN alone, since its client strips no other
 * (cri-api pkg/errors; pullImageV1 of cri-client; evalCRIPullErr of the kubelet).
 */
const registryUnavailable = "RegistryUnavailable";

/**
 * PullImage: answers the id by which every other call knows the image. Errors are those of `Images.pull`,
 * but for a registry that cannot be reached, breaks off or answers 429 or 5xx: UNKNOWN.
 */
export function pullImage({ facts, images, transferOf }: Needs): Verb<"PullImage"> {
  return async (request, { signal }) => {
    const auth = request.auth ? registryAuth(request.auth) : undefined;
    const name = imageName(request.image);
    const pod = request.sandboxConfig?.metadata;
    using _telling =
      pod &&
      tellPullProgress(facts, {
        pod: podName(pod),
        image: name,
        totals: () => transferOf(name)?.totals(),
      });
    try {
      const image = await images.pull(name, { ...(auth && { auth }), signal });
      return { imageRef: image.id };
    } catch (error) {
      signal.throwIfAborted();
      throw asRegistryUnavailable(error);
    }
  };
}

/** What went wrong with a pull, as a kubelet knows it. What is wrong with this node stays what it is. */
export function asRegistryUnavailable(error: unknown): unknown {
  if (!isRegistryUnavailable(error) && !isUnreached(error)) return error;
  return fault("UNKNOWN", `${registryUnavailable}: ${toFault(error).message}`, {
    details: { isOthers: true },
    cause: error,
  });
}
