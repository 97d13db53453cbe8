// SPDX-License-Identifier: Apache-2.0
import type { OciSeccomp, OciSeccompArg, OciSeccompRule } from "../../../oci/spec.ts";
import {
  allowedByArchitecture,
  allowedByCapability,
  allowedForAll,
  filterArchitectures,
} from "./allowed-syscalls.ts";

/** Every CLONE_NEW* flag: with one of them clone makes a namespace, which takes CAP_SYS_ADMIN. */
const cloneNewFlags = 0x7e020000;
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];
const afAlg = 38;
const afVsock = 40;
const enosys = 38;

/**
 * The RuntimeDefault profile for a process with these capabilities on this architecture. What is not
 * listed fails with EPERM; clone3, whose flags a filter cannot see, with ENOSYS, so that C libraries
 * fall back to clone.
 */
export function defaultSeccompProfile(
  capabilities: readonly string[],
  architecture: string,
): OciSeccomp {
  const names = new Set([...allowedForAll, ...(allowedByArchitecture[architecture] ?? [])]);
  for (const capability of capabilities) {
    for (const name of allowedByCapability[capability] ?? []) names.add(name);
  }
  const syscalls: OciSeccompRule[] = [allow([...names].sort())];
  for (const value of personalities)
    syscalls.push(allowWhen("personality", 0, "SCMP_CMP_EQ", value));
  syscalls.push(
    allowWhen("socket", 0, "SCMP_CMP_LT", afAlg),
    allowWhen("socket", 0, "SCMP_CMP_EQ", afAlg + 1),
    allowWhen("socket", 0, "SCMP_CMP_GT", afVsock),
  );
  if (!capabilities.includes("CAP_SYS_ADMIN")) {
    // s390 swaps clone's first two arguments.
    const flags = architecture.startsWith("s390") ? 1 : 0;
    syscalls.push(
      { ...allow(["clone"]), args: [maskedZero(flags)] },
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: enosys },
    );
  }
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    architectures: [...(filterArchitectures[architecture] ?? [])],
    syscalls,
  };
}

function allow(names: string[]): OciSeccompRule {
  return { names, action: "SCMP_ACT_ALLOW" };
}

function allowWhen(name: string, index: number, op: string, value: number): OciSeccompRule {
  return { ...allow([name]), args: [{ index, value, op }] };
}

/** Fits when the argument has none of the namespace flags. */
function maskedZero(index: number): OciSeccompArg {
  return { index, value: cloneNewFlags, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" };
}
