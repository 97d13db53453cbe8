// SPDX-License-Identifier: Apache-2.0
import { isAbsolute } from "node:path";
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type {
  BerthLoadRequest,
  BerthLoadResponseInit,
  BerthRegistryLogin,
  BerthTransferStepInit,
  BerthVerifyResponseInit,
} from "../gen/berth.gen.ts";
import type { ImageLibrary } from "../images/image-library.ts";
import type { LoadOptions, RegistryAuth, TransferStep, VerifiedCounts } from "../images/ports.ts";
import { changesDuring, Transfer } from "../images/progress/transfer.ts";
import type { ServiceImpl } from "../rpc/service.ts";

/** Berth's own image service: loading from a path on the node, pulls and pushes that tell how far they are, and looking for what its disk has lost. */
export function createBerthImagesService(
  images: Pick<ImageLibrary, "find" | "load" | "verify" | "push" | "pull" | "pulling" | "unpack">,
): ServiceImpl<"berth.v1.Images"> {
  return {
    Load: (request, call) => load(images, request, call),
    LoadWatched: async function* (request, { signal }) {
      const transfer = new Transfer("pull", request.path);
      const onStep = (step: TransferStep): void => transfer.step(step);
      const work = load(images, request, { signal, onStep });
      const loaded = yield* stepMessages(changesDuring(() => transfer, work, { signal }));
      yield { loaded };
    },
    Verify: async function* ({ image }, call) {
      const counts = yield* asMessages(images.verify(image === "" ? undefined : image, call));
      yield { counts };
    },
    Push: async function* (request, { signal }) {
      const { image, destination, platform, allPlatforms, nonDistributable, login } = request;
      const transfer = new Transfer("push", image);
      const auth = login ? loginOf(login) : undefined;
      const work = images.push(image, {
        ...(destination !== "" && { destination }),
        ...(platform !== "" && { platform }),
        allPlatforms,
        nonDistributable,
        ...(auth && { auth }),
        onStep: (step) => transfer.step(step),
        signal,
      });
      const pushed = yield* stepMessages(changesDuring(() => transfer, work, { signal }));
      yield { pushed };
    },
    Pull: async function* ({ image, login }, { signal }) {
      const auth = login ? loginOf(login) : undefined;
      const work = images.pull(image, { ...(auth && { auth }), signal });
      const current = (): Transfer | undefined => images.pulling(image, auth);
      const { id } = yield* stepMessages(changesDuring(current, work, { signal }));
      yield { pulled: { id } };
    },
    Unpack: async ({ image }, call) => {
      const found = images.find(image);
      if (!found) throw fault("NOT_FOUND", `image "${image}" not found`);
      await images.unpack(found, call);
      return { id: found.id };
    },
  };
}

async function load(
  images: Pick<ImageLibrary, "load">,
  { path, name }: BerthLoadRequest,
  { signal, onStep }: Cancellable & Pick<LoadOptions, "onStep">,
): Promise<BerthLoadResponseInit> {
  if (!isAbsolute(path)) {
    throw fault("INVALID_ARGUMENT", `cannot load "${path}": expected an absolute path`);
  }
  const names = new Map<string, string[]>();
  await images.load(path, {
    signal,
    onImage: ({ id }, given) => names.set(id, [...(names.get(id) ?? []), ...given]),
    ...(onStep && { onStep }),
    ...(name !== "" && { name }),
  });
  return { images: [...names].map(([id, given]) => ({ id, names: given })) };
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

async function* stepMessages<T>(
  changes: AsyncGenerator<readonly TransferStep[], T, undefined>,
): AsyncGenerator<{ readonly steps: readonly BerthTransferStepInit[] }, T, undefined> {
  for (;;) {
    const { done, value } = await changes.next();
    if (done) return value;
    const steps = value.map(({ doneBytes, totalBytes, ...rest }) => ({
      ...rest,
      doneBytes: BigInt(doneBytes),
      totalBytes: BigInt(totalBytes),
    }));
    yield { steps };
  }
}

/** Without the fields that protobuf fills with ""; undefined when nothing is left. */
function loginOf(login: BerthRegistryLogin): RegistryAuth | undefined {
  const given = Object.entries(login).filter(([, value]) => value !== "");
  return given.length === 0 ? undefined : (Object.fromEntries(given) as RegistryAuth);
}
