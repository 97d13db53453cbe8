// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fileProblem } from "../../../base/file-problem.ts";
import { parseExactJson } from "../../../oci/encode-spec.ts";
import type { OciSeccomp, OciSeccompArg, OciSeccompRule } from "../../../oci/spec.ts";

// Go writes absent lists as null.
const maybe = <T extends z.ZodType>(type: T) =>
  type.nullish().transform((value): z.output<T> | undefined => value ?? undefined);
const integer = z.union([z.number().int().nonnegative(), z.bigint().nonnegative()]);
const names = maybe(z.array(z.string()));
const action = z.string().startsWith("SCMP_ACT_");
const condition = maybe(z.object({ caps: names, arches: names, minKernel: maybe(z.string()) }));
const rule = z.object({
  name: maybe(z.string()),
  names,
  action,
  errnoRet: maybe(z.number().int()),
  args: maybe(
    z.array(
      z.object({
        index: z.number().int().min(0).max(5),
        value: integer,
        valueTwo: maybe(integer),
        op: z.string().startsWith("SCMP_CMP_"),
      }),
    ),
  ),
  includes: condition,
  excludes: condition,
});
const profile = z.object({
  defaultAction: action,
  defaultErrnoRet: maybe(z.number().int()),
  architectures: names,
  archMap: maybe(z.array(z.object({ architecture: z.string(), subArchitectures: names }))),
  flags: names,
  listenerPath: maybe(z.string()),
  listenerMetadata: maybe(z.string()),
  syscalls: maybe(z.array(rule)),
});

type Condition = z.infer<typeof condition>;

export interface ProfileContext {
  readonly capabilities: readonly string[];
  /** As Go spells it. */
  readonly architecture: string;
  readonly nativeArchitecture: string;
  readonly kernelRelease: string;
}

/**
 * Reads a seccomp profile in the OCI form or in Docker's, whose rules may depend on capabilities,
 * architecture and kernel. Throws an Error that names the path within the file.
 */
export function parseSeccompProfile(json: string, context: ProfileContext): OciSeccomp {
  const file = profileOf(json);
  const out: OciSeccomp = { defaultAction: file.defaultAction };
  if (file.defaultErrnoRet !== undefined) out.defaultErrnoRet = file.defaultErrnoRet;
  const mapped = file.archMap?.find((entry) => entry.architecture === context.nativeArchitecture);
  if (file.architectures !== undefined) out.architectures = file.architectures;
  else if (mapped) out.architectures = [mapped.architecture, ...(mapped.subArchitectures ?? [])];
  if (file.flags !== undefined) out.flags = file.flags;
  if (file.listenerPath !== undefined) out.listenerPath = file.listenerPath;
  if (file.listenerMetadata !== undefined) out.listenerMetadata = file.listenerMetadata;
  out.syscalls = (file.syscalls ?? [])
    .filter((entry) => holds(entry.includes, context) && !excluded(entry.excludes, context))
    .map(toRule);
  return out;
}

function profileOf(json: string): z.infer<typeof profile> {
  try {
    return profile.parse(parseExactJson(json));
  } catch (error) {
    throw new Error(fileProblem(error), { cause: error });
  }
}

function toRule(entry: z.infer<typeof rule>): OciSeccompRule {
  const names = [...(entry.names ?? []), ...(entry.name === undefined ? [] : [entry.name])];
  const out: OciSeccompRule = { names, action: entry.action };
  if (entry.errnoRet !== undefined) out.errnoRet = entry.errnoRet;
  if (entry.args !== undefined && entry.args.length > 0) {
    out.args = entry.args.map(({ index, value, valueTwo, op }): OciSeccompArg => {
      return valueTwo === undefined ? { index, value, op } : { index, value, valueTwo, op };
    });
  }
  return out;
}

/** `includes`: each condition that is given must be met; of capabilities, all. */
function holds(condition: Condition, context: ProfileContext): boolean {
  if (condition === undefined) return true;
  const { caps, arches, minKernel } = condition;
  if (caps?.some((name) => !context.capabilities.includes(name))) return false;
  if (arches?.length && !arches.includes(context.architecture)) return false;
  return minKernel === undefined || isKernelAtLeast(context.kernelRelease, minKernel);
}

/** `excludes`: any condition that is met drops the rule. */
function excluded(condition: Condition, context: ProfileContext): boolean {
  if (condition === undefined) return false;
  const { caps, arches, minKernel } = condition;
  return (
    caps?.some((name) => context.capabilities.includes(name)) === true ||
    arches?.includes(context.architecture) === true ||
    (minKernel !== undefined && isKernelAtLeast(context.kernelRelease, minKernel))
  );
}

function isKernelAtLeast(release: string, wanted: string): boolean {
  const [major = 0, minor = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split(".").map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
