// SPDX-License-Identifier: Apache-2.0
import { invalid, unsupported } from "../../base/invalid-field.ts";
import type { RuntimeFeatures } from "./ports.ts";

/** What every OCI runtime must know, as the runtime spec has it; Kubernetes has no others. */
export const basicMountOptions: readonly string[] = ["noexec", "nodev", "nosuid"];

/** These take from a mount and give it nothing. With an "r" before it, one holds for the mounts below too. */
const single = [...basicMountOptions, "nosymfollow", "noatime", "nodiratime"];
const recursive = single.map((option) => `r${option}`);

/** Whatever of a runtime's list a mount may ask for; recursive ones need mount_setattr(2). */
export function usableMountOptions(
  listed: readonly string[] | undefined,
  hasSetattr: boolean,
): readonly string[] {
  if (listed === undefined) return basicMountOptions;
  const usable = new Set(hasSetattr ? [...single, ...recursive] : single);
  return listed.filter((option) => usable.has(option));
}

/** A request's mount, as far as its further options go. */
interface AskedMount {
  readonly containerPath: string;
  readonly mountOptions: readonly string[];
}

/**
 * The options that a request's mount has beside `own`, which are those of its other fields; each once.
 * INVALID_ARGUMENT for what says otherwise than those fields, gives the mount more, or is no option;
 * FAILED_PRECONDITION for what the handler's OCI runtime does not know.
 */
export function furtherOptions(
  { containerPath, mountOptions }: AskedMount,
  own: readonly string[],
  features: Pick<RuntimeFeatures, "mountOptions">,
  field: string,
): string[] {
  const further = new Set<string>();
  for (const [index, option] of mountOptions.entries()) {
    if (own.includes(option) || further.has(option)) continue;
    const name = `${field}.mount_options[${index}]`;
    const what = `"${option}" of the mount at "${containerPath}"`;
    if (ofOtherFields.has(option)) {
      throw invalid(name, `${what} contradicts its other fields, which make it ${own.join(",")}`);
    }
    if (!single.includes(option) && !recursive.includes(option)) {
      throw invalid(name, `${what} is not one of ${[...single, ...recursive].join(", ")}`);
    }
    if (!features.mountOptions.includes(option)) {
      throw unsupported(name, `${what} is none that the runtime handler can set`);
    }
    further.add(option);
  }
  return [...further];
}

/** What a mount's other fields say. */
const ofOtherFields = new Set(
  ["bind", "ro", "rw", "private", "shared", "slave", "unbindable"].flatMap((word) => [
    word,
    `r${word}`,
  ]),
);
