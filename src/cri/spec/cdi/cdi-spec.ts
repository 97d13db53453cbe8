// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { parseYaml } from "../parse-yaml.ts";

// Go writes absent lists as null; unknown keys belong to newer versions of the format.
const maybe = <T extends z.ZodType>(type: T) =>
  type.nullish().transform((value): z.output<T> | undefined => value ?? undefined);
// In YAML `name: 0` is a number, and vendors mean the name.
const text = z.union([z.string(), z.number().transform(String), z.boolean().transform(String)]);
const strings = maybe(z.array(text));
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
  intelRdt: maybe(
    z.object({
      closID: maybe(text),
      l3CacheSchema: maybe(z.string()),
      memBwSchema: maybe(z.string()),
      enableCMT: maybe(z.boolean()),
      enableMBM: maybe(z.boolean()),
    }),
  ),
  additionalGids: maybe(z.array(z.number().int().nonnegative())),
});

const cdiSpec = z.object({
  cdiVersion: z.string().regex(/^v?\d+\.\d+\.\d+$/),
  kind: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z][A-Za-z0-9_-]*$/),
  devices: z
    .array(
      z.object({
        name: text.pipe(z.string().regex(/^[A-Za-z0-9][\w.:-]*$/)),
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

/** Reads a CDI file's text. Throws an Error that names the path within the file. */
export function parseCdiSpec(content: string, format: "json" | "yaml"): CdiSpec {
  const parsed = cdiSpec.safeParse(format === "json" ? JSON.parse(content) : parseYaml(content));
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error).replaceAll("\n", " "));
  return parsed.data;
}
