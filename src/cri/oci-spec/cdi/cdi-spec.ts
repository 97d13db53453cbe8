// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fileProblem } from "../../../base/file-problem.ts";
import { shortened } from "../../../base/shortened.ts";
import { ociHookStages } from "../../../oci/spec.ts";
import { parseJson } from "../parse-json.ts";
import { parseYaml } from "../parse-yaml.ts";
import { deviceNamePattern, kindPattern } from "./cdi-names.ts";
import { checkCdiVersion } from "./cdi-version.ts";

// Go writes absent lists as null, and absent texts as "".
const maybe = <T extends z.ZodType>(type: T) =>
  type.nullish().transform((value): z.output<T> | undefined => value ?? undefined);
// In YAML `name: 0` is a number, and vendors mean the name.
const text = z.union([z.string(), z.number().transform(String), z.boolean().transform(String)]);
const optionalText = maybe(text).transform((value) => (value === "" ? undefined : value));
const wanted = text.pipe(z.string().min(1));
const strings = maybe(z.array(text));
const uint32 = z.number().int().nonnegative().max(0xffff_ffff);
const number = maybe(z.number().int().nonnegative());
const environment = maybe(
  z.array(text.pipe(z.string().regex(/^[^=]+=/s, "is no variable such as NAME=value"))),
);
const annotations = maybe(z.record(z.string(), text));

/** resctrl's name of a class, which is a folder there; "/" is the root's. */
const closID = optionalText.refine(
  (id) =>
    id === undefined ||
    id === "/" ||
    (!/[/\n]/.test(id) && !/^\.{1,2}$/.test(id) && Buffer.byteLength(id) < 4096),
  "is no name of a class",
);

const longestName = 60;

// Unknown keys are errors, as they are to CDI's own library: a device that lacks what a newer version of the
// format gave it must not look as if it had it.
const containerEdits = z.strictObject({
  env: environment,
  deviceNodes: maybe(
    z.array(
      z.strictObject({
        path: wanted,
        hostPath: optionalText,
        type: optionalText.pipe(z.enum(["b", "c", "u", "p"]).optional()),
        major: number,
        minor: number,
        fileMode: maybe(uint32),
        permissions: optionalText.pipe(
          z
            .string()
            .regex(/^([rwm]*|none)$/)
            .optional(),
        ),
        uid: maybe(uint32),
        gid: maybe(uint32),
      }),
    ),
  ),
  netDevices: maybe(z.array(z.strictObject({ hostInterfaceName: wanted, name: wanted }))),
  hooks: maybe(
    z.array(
      z.strictObject({
        hookName: z.enum(ociHookStages),
        path: wanted,
        args: strings,
        env: environment,
        timeout: maybe(z.number().int()),
      }),
    ),
  ),
  mounts: maybe(
    z.array(
      z.strictObject({
        hostPath: wanted,
        containerPath: wanted,
        options: strings,
        type: optionalText,
      }),
    ),
  ),
  intelRdt: maybe(
    z.strictObject({
      closID,
      l3CacheSchema: optionalText,
      memBwSchema: optionalText,
      schemata: strings,
      enableMonitoring: maybe(z.boolean()),
    }),
  ),
  additionalGids: maybe(z.array(uint32)),
});

const cdiSpec = z.strictObject({
  cdiVersion: text,
  kind: z.string().regex(kindPattern),
  /** For tools; nothing of them reaches a container. */
  annotations,
  devices: z
    .array(
      z.strictObject({
        name: text.pipe(z.string().regex(deviceNamePattern)),
        annotations,
        containerEdits,
      }),
    )
    .min(1),
  containerEdits: maybe(containerEdits),
});

/** What a device adds to the container that gets it. */
export type CdiEdits = z.infer<typeof containerEdits>;
export type CdiDeviceNode = NonNullable<CdiEdits["deviceNodes"]>[number];
/** One file of the Container Device Interface: a vendor's devices of one class. */
export type CdiSpec = z.infer<typeof cdiSpec>;

/**
 * Reads a CDI file's text. Throws an Error that names the device, and the path within the file, in a few words. Unlike
 * the library, which takes a JSON file for YAML, it wants JSON there.
 */
export function parseCdiSpec(content: string, format: "json" | "yaml"): CdiSpec {
  let given: unknown;
  try {
    given = format === "json" ? parseJson(content) : parseYaml(content);
    return checked(cdiSpec.parse(given));
  } catch (error) {
    throw new Error(deviceOf(error, given) + fileProblem(error), { cause: error });
  }
}

/** `device "NAME": ` where the first fault is a device's; its place says only which of the list it is. */
function deviceOf(error: unknown, given: unknown): string {
  const [list, at] = error instanceof z.ZodError ? (error.issues[0]?.path ?? []) : [];
  if (list !== "devices" || typeof at !== "number") return "";
  const name: unknown = (given as { devices: { name?: unknown }[] }).devices[at]?.name;
  return typeof name === "string" ? `device "${shortened(name, longestName)}": ` : "";
}

function checked(spec: CdiSpec): CdiSpec {
  checkCdiVersion(spec);
  const names = new Set<string>();
  for (const { name, containerEdits: edits } of spec.devices) {
    if (names.has(name)) throw new Error(`device "${name}" stands there twice`);
    names.add(name);
    if (isEmpty(edits)) throw new Error(`device "${name}" has no edits`);
  }
  return spec;
}

function isEmpty({ intelRdt, ...lists }: CdiEdits): boolean {
  return intelRdt === undefined && Object.values(lists).every((list) => (list ?? []).length === 0);
}
