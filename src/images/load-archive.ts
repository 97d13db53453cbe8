// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf, fault, isFault } from "../base/errors.ts";
import type { Digest } from "../content/ports.ts";
import { openArchive } from "./archive/archive.ts";
import { ArchiveSource } from "./archive/archive-source.ts";
import { type ArchivedImage, readArchive } from "./archive/read-archive.ts";
import type { ImageIntake, Keep } from "./image-intake.ts";
import type { ImagesOptions } from "./image-library.ts";
import type { ImageSource } from "./image-source.ts";
import type { Descriptor } from "./manifest/documents.ts";
import type { Image, LoadOptions } from "./ports.ts";

/** Brings in all images of an archive, each whole before the next. A fault names the archive. */
export async function loadArchive(
  path: string,
  { name, onImage, onStep, signal }: LoadOptions,
  { content, garbage, namespace, platform }: ImagesOptions,
  intake: ImageIntake,
): Promise<readonly Image[]> {
  const call = { signal };
  using pins = new DisposableStack();
  const keep = intake.keeping(pins, call);
  try {
    await using archive = await openArchive(path, call);
    const keepBlob = (id: Digest): Promise<void> => keep({ type: "content", id });
    const from = { archive, content, namespace, keep: keepBlob, onStep };
    const source = new ArchiveSource(from);
    const images: Image[] = [];
    const reading = { ...from, documents: intake.documents, platform };
    const listed = await readArchive(reading, name, call);
    const coming = { intake, source, keep };
    const wanted = archive.isInflated ? await layersOf(listed, coming, call) : [];
    await using _ahead = source.fetchAhead(wanted, call);
    for (const found of listed) {
      const image = await intake.register(found, source, call, keep);
      onImage?.(image, found.names);
      images.push(image);
    }
    return images;
  } catch (error) {
    garbage.schedule(namespace); // what came in, and belongs to no image
    throw notLoaded(path, error);
  }
}

interface Coming {
  readonly intake: ImageIntake;
  readonly source: ImageSource;
  readonly keep: Keep;
}

/** Those of the images that can be read; of others it is told when they are registered. */
async function layersOf(
  images: readonly ArchivedImage[],
  { intake, source, keep }: Coming,
  call: Cancellable,
): Promise<readonly Descriptor[]> {
  const layers: Descriptor[] = [];
  for (const { target } of images) {
    try {
      const keepOne = (id: Digest): Promise<void> => keep({ type: "content", id });
      layers.push(
        ...(await intake.readTree(source, target, call, { keep: keepOne })).manifest.layers,
      );
    } catch (error) {
      if (!isFault(error)) throw error;
    }
  }
  return layers;
}

/** What is wrong with an archive, or with the disk. */
const toldOfLoads = [
  "INVALID_ARGUMENT",
  "FAILED_PRECONDITION",
  "RESOURCE_EXHAUSTED",
  "UNKNOWN",
] as const;

function notLoaded(path: string, error: unknown): unknown {
  const isTold = isFault(error, ...toldOfLoads);
  if (!isTold && !isBroken(error)) return error;
  const code = isTold ? error.code : "INVALID_ARGUMENT";
  const why = isTold ? error.message : `it is cut off or damaged: ${error.message}`;
  return fault(code, `cannot load "${path}": ${why}`, { cause: error });
}

/** Whether zlib reports a broken archive. */
function isBroken(error: unknown): error is Error {
  return /^Z(STD_error)?_/.test(errnoOf(error) ?? "");
}
