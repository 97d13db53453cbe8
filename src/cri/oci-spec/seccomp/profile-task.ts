// SPDX-License-Identifier: Apache-2.0
import type { OciSeccomp } from "../../../oci/spec.ts";
import { defaultSeccompProfile } from "./default-profile.ts";
import { intersectProfiles } from "./intersect-profiles.ts";
import { type ProfileContext, parseSeccompProfile } from "./profile-file.ts";
import { parsePulledProfile } from "./pulled-profile.ts";

/** Something to do with the text of a seccomp profile that others wrote. */
export interface ProfileTask {
  /** What errors about the reading call it. */
  readonly what: string;
  readonly text: Uint8Array;
  readonly context: ProfileContext;
  /** "file" is one of the node, "pulled" one from a registry, in force together with its base. */
  readonly kind: "file" | "pulled";
  /** Of a pulled one; by default the default profile. */
  readonly base?: OciSeccomp | undefined;
}

/** What is counted of a profile, and how much of it the kernel would take at most: a filter has 4096 instructions. */
const limits = { "system calls": 8192, "conditional rules": 2048, rules: 2048 };
/** Of a system call, an architecture or a flag. */
const maxNameChars = 128;

/**
 * Reads a profile. Throws an Error that says what is wrong with it. What it answers is small, whatever the text: the main
 * thread puts it into a spec.
 */
export function runProfileTask(task: ProfileTask): OciSeccomp {
  const profile = read(task);
  checkSize(profile);
  return profile;
}

function read({ kind, text, context, base }: ProfileTask): OciSeccomp {
  const json = Buffer.from(text).toString("utf8");
  if (kind === "file") return parseSeccompProfile(json, context);
  const { capabilities, architecture, nativeArchitecture } = context;
  return intersectProfiles(
    parsePulledProfile(json, context),
    base ?? defaultSeccompProfile(capabilities, architecture),
    nativeArchitecture,
  );
}

function checkSize({ syscalls = [], architectures = [], flags = [] }: OciSeccomp): void {
  const counts = { "system calls": 0, "conditional rules": 0, rules: syscalls.length };
  const names = [architectures, flags, ...syscalls.map((rule) => rule.names)];
  for (const list of names) {
    counts["system calls"] += list.length;
    if (list.some((name) => name.length > maxNameChars)) {
      throw new Error(`it has a name of more than ${maxNameChars} characters`);
    }
  }
  for (const { names, args = [] } of syscalls) {
    if (args.length > 0) counts["conditional rules"] += Math.max(1, names.length);
  }
  for (const [what, limit] of Object.entries(limits) as [keyof typeof limits, number][]) {
    if (counts[what] > limit) throw new Error(`it has more than ${limit} ${what}`);
  }
}
