// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";

// Go writes absent lists as null; unknown keys belong to newer versions of the format.
const maybe = <T extends z.ZodType>(type: T) =>
  type.nullish().transform((value): z.output<T> | undefined => value ?? undefined);
const strings = maybe(z.array(z.string()));
const id = maybe(z.number().int().nonnegative());

const containerEdits = z.object({
  env: strings,
  deviceNodes: maybe(
    z.array(
      z.object({
        path: z.string().startsWith("/"),
        hostPath: maybe(z.string()),
        type: maybe(z.enum(["b", "c", "u", "p"])),
        major: id,
        minor: id,
        fileMode: id,
        permissions: maybe(z.string().regex(/^[rwm]*$/)),
        uid: id,
        gid: id,
      }),
    ),
  ),
  hooks: maybe(
    z.array(
      z.object({
        hookName: z.enum([
          "prestart",
          "createRuntime",
          "createContainer",
          "startContainer",
          "poststart",
          "poststop",
        ]),
        path: z.string().startsWith("/"),
        args: strings,
        env: strings,
        timeout: maybe(z.number().int().positive()),
      }),
    ),
  ),
  mounts: maybe(
    z.array(
      z.object({
        hostPath: z.string().min(1),
        containerPath: z.string().startsWith("/"),
        options: strings,
        type: maybe(z.string()),
      }),
    ),
  ),
  additionalGids: maybe(z.array(z.number().int().nonnegative())),
});

const cdiSpec = z.object({
  cdiVersion: z.string().regex(/^v?\d+\.\d+\.\d+$/),
  kind: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z][A-Za-z0-9_-]*$/),
  devices: z
    .array(
      z.object({
        name: z.string().regex(/^[A-Za-z0-9][\w.:-]*$/),
        containerEdits: maybe(containerEdits),
      }),
    )
    .min(1),
  containerEdits: maybe(containerEdits),
});

/** What a device adds to the container that gets it. */
export type CdiEdits = z.infer<typeof containerEdits>;
/** One file of the Container Device Interface: a vendor's devices of one class. */
export type CdiSpec = z.infer<typeof cdiSpec>;

/** Reads a CDI file's JSON. Throws an Error that names the path within the file. */
export function parseCdiSpec(json: string): CdiSpec {
  const parsed = cdiSpec.safeParse(JSON.parse(json));
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error).replaceAll("\n", " "));
  return parsed.data;
}
