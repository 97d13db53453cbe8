// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fault } from "../../base/errors.ts";

const maxImages = 1000;
const maxPerImage = 500;
const name = z.string().max(4096);
const archive = z
  .array(
    z.object({
      Config: name,
      RepoTags: z.array(name).max(maxPerImage).nullish(),
      Layers: z.array(name).max(maxPerImage),
    }),
  )
  .max(maxImages);

/** The images of a `docker save` archive, with the names that their parts have in it. */
export type DockerArchive = z.infer<typeof archive>;

/** Reads `manifest.json`. INVALID_ARGUMENT when it is none. */
export function parseDockerArchive(bytes: Uint8Array, what: string): DockerArchive {
  try {
    return archive.parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  } catch {
    throw fault("INVALID_ARGUMENT", `${what} of the archive cannot be understood`);
  }
}
