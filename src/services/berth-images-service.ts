// SPDX-License-Identifier: Apache-2.0
import { isAbsolute } from "node:path";
import { fault } from "../base/errors.ts";
import type { BerthVerifyResponseInit } from "../gen/berth.gen.ts";
import type { ImageLibrary } from "../images/create-images.ts";
import type { VerifiedCounts } from "../images/ports.ts";
import type { ServiceImpl } from "../rpc/service.ts";

/** Berth's own image service: loading from a path on the node, and looking for what its disk has lost. */
export function createBerthImagesService(
  images: Pick<ImageLibrary, "load" | "verify">,
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
    Verify: async function* ({ image }, call) {
      const counts = yield* asMessages(images.verify(image === "" ? undefined : image, call));
      yield { counts };
    },
  };
}

async function* asMessages(
  findings: ReturnType<ImageLibrary["verify"]>,
): AsyncGenerator<BerthVerifyResponseInit, VerifiedCounts, undefined> {
  for (;;) {
    const { done, value } = await findings.next();
    if (done) return value;
    const { isDropped, ...rest } = value;
    yield { damage: { ...rest, dropped: isDropped } };
  }
}
