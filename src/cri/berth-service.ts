// SPDX-License-Identifier: Apache-2.0
import { isAbsolute } from "node:path";
import { fault } from "../base/errors.ts";
import type { Images } from "../images/ports.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import type { OperationRegistry } from "./lifecycle/operations.ts";

/** Berth's own image service: loading from a path on the node. */
export function createBerthImagesService(
  images: Pick<Images, "load">,
): ServiceImpl<"berth.v1.Images"> {
  return {
    Load: async (request, { signal }) => {
      if (!isAbsolute(request.path)) {
        throw fault("INVALID_ARGUMENT", `cannot load "${request.path}": expected an absolute path`);
      }
      const options = request.name === "" ? { signal } : { signal, name: request.name };
      const loaded = await images.load(request.path, options);
      return {
        images: loaded.map(({ id, repoTags, repoDigests }) => ({
          id,
          names: [...repoTags, ...repoDigests],
        })),
      };
    },
  };
}

/** What the daemon is doing now. Answers from memory. */
export function createBerthOperationsService(
  operations: Pick<OperationRegistry, "list">,
): ServiceImpl<"berth.v1.Operations"> {
  return {
    List: async ({ object }) => ({
      operations: operations
        .list()
        .filter((operation) => object === "" || operation.object === object)
        .map(({ rpc, object, seconds, stages }) => ({
          rpc,
          object,
          seconds,
          stages: stages.map(({ stage, seconds }) => ({ name: stage, seconds })),
        })),
    }),
  };
}
