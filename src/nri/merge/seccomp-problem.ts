// SPDX-License-Identifier: Apache-2.0
import type { LinuxSeccomp } from "../messages.ts";

const actions = new Set(
  ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY"].map(
    (name) => `SCMP_ACT_${name}`,
  ),
);
const operators = new Set(
  ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"].map((name) => `SCMP_CMP_${name}`),
);

/** The field, below the policy, and what is wrong with it; undefined for a policy in the OCI runtime spec's words. */
export function seccompProblem(policy: LinuxSeccomp): readonly [string, string] | undefined {
  if (!actions.has(policy.defaultAction)) {
    return ["default_action", `unknown value "${policy.defaultAction}"`];
  }
  for (const [at, name] of policy.architectures.entries()) {
    if (!/^SCMP_ARCH_\w+$/.test(name)) return [`architectures[${at}]`, `unknown value "${name}"`];
  }
  for (const [at, flag] of policy.flags.entries()) {
    if (!/^SECCOMP_FILTER_FLAG_\w+$/.test(flag)) return [`flags[${at}]`, `unknown value "${flag}"`];
  }
  for (const [at, { names, action, args }] of policy.syscalls.entries()) {
    const field = `syscalls[${at}]`;
    if (names.length === 0) return [`${field}.names`, "there are none"];
    if (!actions.has(action)) return [`${field}.action`, `unknown value "${action}"`];
    for (const [index, arg] of args.entries()) {
      if (arg.index > 5) return [`${field}.args[${index}].index`, `${arg.index} is above 5`];
      if (!operators.has(arg.op))
        return [`${field}.args[${index}].op`, `unknown value "${arg.op}"`];
    }
  }
  return undefined;
}
