// SPDX-License-Identifier: Apache-2.0
import { isAbsolute } from "node:path";
import { fault } from "../base/errors.ts";
import type { Images } from "../images/ports.ts";
import type { ServiceImpl } from "../rpc/service.ts";

/** Berth's own image service: loading from a path on the node. */
export function createBerthImagesService(
  images: Pick<Images, "load">,
): ServiceImpl<"berth.v1.Images"> {
  return {
    Load: async ({ path, name }, { signal }) => {
      if (!isAbsolute(path)) {
        throw fault("INVALID_ARGUMENT", `cannot load "${path}": expected an absolute path`);
      }
      const names = new Map<string, string[]>();
      await images.load(path, {
        signal,
        onImage: ({ id }, given) => names.set(id, [...(names.get(id) ?? []), ...given]),
        ...(name !== "" && { name }),
      });
      return { images: [...names].map(([id, given]) => ({ id, names: given })) };
    },
  };
}
