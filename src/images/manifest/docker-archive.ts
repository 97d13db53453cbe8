// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fault } from "../../base/errors.ts";
import { goList, goObject, goTexts, parseJson } from "./go-json.ts";

const maxImages = 1000;
const maxPerImage = 500;
const maxNameChars = 4096;
const name = z.string().max(maxNameChars);
const names = goTexts.refine(
  (list) => list.length <= maxPerImage && list.every((text) => text.length <= maxNameChars),
);
const image = goObject({ Config: name, RepoTags: names, Layers: names });
const archive = goList(image).refine((images) => images.length <= maxImages);

/** The images of a `docker save` archive, with the names that their parts have in it. */
export type DockerArchive = z.infer<typeof archive>;

/** Reads `manifest.json`. INVALID_ARGUMENT when it is none. */
export function parseDockerArchive(bytes: Uint8Array, what: string): DockerArchive {
  try {
    return archive.parse(parseJson(bytes, what));
  } catch {
    throw fault("INVALID_ARGUMENT", `${what} of the archive cannot be understood`);
  }
}
