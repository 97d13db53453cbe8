// SPDX-License-Identifier: Apache-2.0
import { isRuncType } from "../../../config/runc-options.ts";
import { basicMountOptions } from "../../oci-spec/mount-options.ts";
import type { RuntimeFeatures } from "../../oci-spec/ports.ts";
import { noRuntimeFeatures } from "../../oci-spec/runtime-features.ts";
import type { NodeFacts } from "./node-facts.ts";
import type { TrialResult } from "./ports.ts";

/*
 * crun is quicker, and nobody has asked for it: it may take nothing from pods that runc gives them. What speaks
 * for runc is looked at in this order, the cheapest first: what the node says, what crun says, what came of a trial.
 */

/** Why crun is not even tried; undefined when it is to be. */
export function againstTrying({ table, crun, runc, criu }: NodeFacts): string | undefined {
  if (!isRuncType(table.type)) return `[runtime.handlers.runc] has another type, ${table.type}`;
  if (table.binaryName !== "") return "[runtime.handlers.runc] names its binary_name";
  if (crun === null) return "there is no crun on PATH";
  if (runc === null) return undefined; // it has nothing to lose
  if (criu) return "criu is installed, and what runc and CRIU have checkpointed is not for crun";
  return undefined;
}

/** What crun says of itself. */
export interface Told {
  /** Its first line of `--version` has it; "" when that is not crun's. */
  readonly version: string;
  /** What it was built with: "SECCOMP", "SYSTEMD", … */
  readonly builtWith: readonly string[];
  /** Undefined when it does not tell: before 1.9 it cannot. */
  readonly features: RuntimeFeatures | undefined;
}

/** Reads the output of `crun --version`. */
export function parseVersion(text: string): Pick<Told, "version" | "builtWith"> {
  const version = /^crun version (\S+)/.exec(text)?.[1] ?? "";
  const builtWith = [...text.matchAll(/(?:^|\s)\+([A-Z_]+)(?=\s|$)/g)].map(
    (match) => match[1] ?? "",
  );
  return { version: version.slice(0, 64), builtWith };
}

/** What a trial can show; all else crun must say itself. */
const canBeTried: Partial<RuntimeFeatures> = {
  recursiveReadOnlyMounts: true,
  cgroupNamespaces: true,
};

/** Why what crun says is too little; undefined when a trial is to show the rest. */
export function againstTold(
  told: Told,
  wanted: RuntimeFeatures,
  facts: NodeFacts,
): string | undefined {
  if (told.version === "") return `${facts.crun?.path} says that it is another program`;
  const needed = [
    "CAP",
    ...(facts.seccomp ? ["SECCOMP"] : []),
    ...(facts.apparmor ? ["APPARMOR"] : []),
    ...(facts.selinux ? ["SELINUX"] : []),
    ...(facts.table.systemdCgroup ? ["SYSTEMD"] : []),
  ];
  const without = needed.filter((part) => !told.builtWith.includes(part));
  if (without.length > 0) return `it was built without ${without.join(", ")}`;
  const hoped = told.features ?? {
    ...noRuntimeFeatures,
    ...canBeTried,
    mountOptions: basicMountOptions,
  };
  return sayLacking(lacking(wanted, hoped, facts));
}

/**
 * Options of mounts that a trial tries. Kubernetes has no others, so others do not weigh; and pods get none that was not
 * tried: crun 1.8 takes `rnoatime` and fails.
 */
export function weighedOptions({ mountOptions }: RuntimeFeatures): readonly string[] {
  return mountOptions.filter((option) => basicMountOptions.includes(option));
}

/** What crun can, as far as it told and as the trial held it to that. */
export function featuresAfter(
  { features }: Told,
  wanted: RuntimeFeatures,
  result: TrialResult,
): RuntimeFeatures {
  const { mountOptions: held, namespaces } = result;
  return {
    ...(features ?? noRuntimeFeatures),
    recursiveReadOnlyMounts: wanted.recursiveReadOnlyMounts && held.includes("rro"),
    cgroupNamespaces: wanted.cgroupNamespaces && namespaces.includes("cgroup"),
    mountOptions: weighedOptions(wanted).filter((option) => held.includes(option)),
  };
}

/** Why what came of the trial is too little. */
export function againstResult(
  told: Told,
  wanted: RuntimeFeatures,
  { result, limits, facts }: Tried,
): string | undefined {
  const missing = ["pid", "ipc", "uts", "mount", "network"].filter(
    (name) => !result.namespaces.includes(name),
  );
  if (missing.length > 0) return `it gives a container no ${missing.join(", ")} namespace`;
  if (facts.seccomp && !result.seccomp) return "it filters no system calls";
  const unlimited = Object.keys(limits).filter((name) => result.limits[name] !== limits[name]);
  if (unlimited.length > 0) return `it sets no limit of ${unlimited.join(", ")}`;
  return sayLacking(lacking(wanted, featuresAfter(told, wanted, result), facts));
}

export interface Tried {
  readonly result: TrialResult;
  /** What was asked for, by controller. */
  readonly limits: Readonly<Record<string, string>>;
  readonly facts: NodeFacts;
}

function sayLacking(what: readonly string[]): string | undefined {
  return what.length === 0 ? undefined : `it lacks what runc has: ${what.join(", ")}`;
}

const words: Readonly<Record<string, string>> = {
  recursiveReadOnlyMounts: "recursive read-only mounts",
  idmapMounts: "id-mapped mounts",
  userNamespaces: "user namespaces",
  cgroupNamespaces: "cgroup namespaces",
  netDevices: "network devices",
  rdtSchemata: "RDT schemata",
  rdtMonitoring: "RDT monitoring",
  scheduling: "scheduling policies",
};

function lacking(wanted: RuntimeFeatures, has: RuntimeFeatures, { rdt }: NodeFacts): string[] {
  const flags = Object.entries(words)
    .filter(([name]) => {
      const flag = name as keyof RuntimeFeatures;
      if (flag.startsWith("rdt") && !rdt) return false; // nobody can have it here
      return wanted[flag] === true && has[flag] !== true;
    })
    .map(([, word]) => word);
  const options = weighedOptions(wanted).filter((option) => !has.mountOptions.includes(option));
  const policies = wanted.memoryPolicies.filter((policy) => !has.memoryPolicies.includes(policy));
  return [
    ...flags,
    ...(options.length > 0 ? [`mount options ${options.join(", ")}`] : []),
    ...(policies.length > 0 ? [`memory policies ${policies.join(", ")}`] : []),
  ];
}
