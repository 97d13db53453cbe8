// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fileProblem } from "../../../base/file-problem.ts";
import { parseYaml } from "../parse-yaml.ts";
import { parseRate } from "./rate.ts";

/** Bytes or operations a second. */
export interface Throttle {
  readonly readBps?: bigint | undefined;
  readonly writeBps?: bigint | undefined;
  readonly readIops?: bigint | undefined;
  readonly writeIops?: bigint | undefined;
}

/** One rule of a class: for the disks its globs match, or the weight on all that no rule matches. */
export interface BlockioRule extends Throttle {
  readonly devices: readonly string[];
  readonly weight?: number | undefined;
}

/** Rules by the class's name. */
export type BlockioClassRules = ReadonlyMap<string, readonly BlockioRule[]>;

/** Keys in any case: existing files are read by programs that do not mind it. */
const anyCase = (value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).map(([key, part]) => [key.toLowerCase(), part]))
    : value;

const scalar = z.union([z.string(), z.int().transform(String)], {
  error: "expected a whole number or a quantity; put one beyond 2^53 in quotes",
});
const weight = scalar.transform((text, context) => {
  const value = parseRate(text);
  if (value !== undefined && value >= 10n && value <= 1000n) return Number(value);
  context.addIssue({ code: "custom", message: `expected a weight from 10 to 1000, got "${text}"` });
  return z.NEVER;
});
const rate = scalar.transform((text, context) => {
  const value = parseRate(text);
  if (value !== undefined) return value;
  context.addIssue({
    code: "custom",
    message: `expected a rate such as 50M or 10Mi, got "${text}"`,
  });
  return z.NEVER;
});

const rule = z.preprocess(
  anyCase,
  z
    .strictObject({
      devices: z.array(z.string().startsWith("/")).nullish(),
      weight: weight.nullish(),
      throttlereadbps: rate.nullish(),
      throttlewritebps: rate.nullish(),
      throttlereadiops: rate.nullish(),
      throttlewriteiops: rate.nullish(),
    })
    .transform(
      (found): BlockioRule => ({
        devices: found.devices ?? [],
        weight: found.weight ?? undefined,
        readBps: found.throttlereadbps ?? undefined,
        writeBps: found.throttlewritebps ?? undefined,
        readIops: found.throttlereadiops ?? undefined,
        writeIops: found.throttlewriteiops ?? undefined,
      }),
    )
    .refine(({ devices, weight: _weight, ...throttle }) => {
      return devices.length > 0 || Object.values(throttle).every((value) => value === undefined);
    }, "a throttle needs Devices"),
);

const file = z.preprocess(
  anyCase,
  z.strictObject({ classes: z.record(z.string(), z.array(rule).nullish()) }),
);

/**
 * Reads a file of block I/O classes, YAML or JSON, of the form that containerd and CRI-O take. Throws an
 * Error in one line, with the place.
 */
export function parseBlockioConfig(text: string): BlockioClassRules {
  try {
    const { classes } = file.parse(parseYaml(text));
    return new Map(Object.entries(classes).map(([name, rules]) => [name, rules ?? []]));
  } catch (error) {
    throw new Error(fileProblem(error), { cause: error });
  }
}
