// SPDX-License-Identifier: Apache-2.0
import type { ContainerAdjustment, Hook, Hooks } from "../messages.ts";
import { badAnswer } from "./bad-answer.ts";
import { checkLinux } from "./check-linux.ts";
import { bare } from "./removal-mark.ts";

/** The stages of hooks, and how the proto spells them. */
export const hookStages = {
  prestart: "prestart",
  createRuntime: "create_runtime",
  createContainer: "create_container",
  startContainer: "start_container",
  poststart: "poststart",
  poststop: "poststop",
} as const satisfies Readonly<Record<keyof Hooks, string>>;

/** The kinds of limits that the OCI runtime spec knows. */
const rlimitTypes = new Set(
  [
    "AS",
    "CORE",
    "CPU",
    "DATA",
    "FSIZE",
    "LOCKS",
    "MEMLOCK",
    "MSGQUEUE",
    "NICE",
    "NOFILE",
    "NPROC",
    "RSS",
    "RTPRIO",
    "RTTIME",
    "SIGPENDING",
    "STACK",
  ].map((name) => `RLIMIT_${name}`),
);

const longestTimeout = 2n ** 31n - 1n;

/**
 * FAILED_PRECONDITION, with the plugin and the field, for an adjustment that no OCI runtime could follow. What only the
 * machine knows (devices, classes, mounts' sources) is seen when the adjustment is applied.
 */
export function checkAdjustment(plugin: string, adjust: ContainerAdjustment): void {
  const bad = (at: string, problem: string): Error => badAnswer(plugin, `adjust.${at}`, problem);
  for (const key of Object.keys(adjust.annotations)) {
    if (bare(key) === "") throw bad("annotations", "a key is empty");
  }
  for (const [at, { destination }] of adjust.mounts.entries()) {
    const problem = pathProblem(bare(destination));
    if (problem !== undefined) throw bad(`mounts[${at}].destination`, problem);
  }
  for (const [at, { key }] of adjust.env.entries()) {
    const name = bare(key);
    if (name === "") throw bad(`env[${at}].key`, "it is empty");
    if (name.includes("=")) throw bad(`env[${at}].key`, `"${name}" has a "="`);
  }
  for (const [stage, name] of Object.entries(hookStages)) {
    for (const [at, hook] of (adjust.hooks?.[stage as keyof Hooks] ?? []).entries()) {
      const found = hookProblem(hook);
      if (found !== undefined) throw bad(`hooks.${name}[${at}].${found[0]}`, found[1]);
    }
  }
  for (const [at, { type, hard, soft }] of adjust.rlimits.entries()) {
    if (!rlimitTypes.has(type)) throw bad(`rlimits[${at}].type`, `unknown value "${type}"`);
    if (soft > hard) throw bad(`rlimits[${at}].soft`, `${soft} is above the hard limit ${hard}`);
  }
  for (const [at, { name }] of adjust.CDIDevices.entries()) {
    if (name === "") throw bad(`CDI_devices[${at}].name`, "it is empty");
  }
  if (adjust.args.length === 1 && adjust.args[0] === "") {
    throw bad("args", "there are none after the empty one");
  }
  if (adjust.linux !== null) checkLinux(plugin, adjust.linux);
}

function pathProblem(path: string): string | undefined {
  if (path === "") return "it is empty";
  return path.startsWith("/") ? undefined : `"${path}" is not an absolute path`;
}

function hookProblem({ path, timeout }: Hook): readonly [string, string] | undefined {
  const problem = pathProblem(path);
  if (problem !== undefined) return ["path", problem];
  if (timeout === null || (timeout.value >= 0n && timeout.value <= longestTimeout))
    return undefined;
  return ["timeout", `${timeout.value} is no number of seconds`];
}
