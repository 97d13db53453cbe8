// SPDX-License-Identifier: Apache-2.0
import { fault, isAbort, toFault } from "../../base/errors.ts";
import type { FieldName } from "../../nri/merge/fields.ts";
import type { OciSpec } from "../../oci/spec.ts";
import type { SpecChange } from "../spec-review.ts";

/** An error names so many plugins, and so many fields of each. */
const namedPlugins = 4;
const namedFields = 4;

/**
 * What an error has in it that is about a field: our own path of it, the cgroup file that a limit is written to, or the
 * word that OCI runtimes have for it. Of a field with keys the key tells, where it is in the error.
 */
const signs: { readonly [F in FieldName]?: RegExp } = {
  OciHooks: /\bhooks?\b/i,
  CdiDevices: /\bCDI_devices\b/,
  Args: /\bexec\b|\bexecutable\b/,
  MemLimit: /memory\.(limit_in_bytes|max)\b|memory limit/i,
  MemReservation: /memory\.(soft_limit_in_bytes|low)\b/,
  MemSwapLimit: /memory\.(memsw\.limit_in_bytes|swap\.max)\b|memory\+?swap|swap limit/i,
  MemKernelLimit: /memory\.kmem\.limit/,
  MemTCPLimit: /memory\.kmem\.tcp/,
  MemSwappiness: /swappiness/i,
  MemDisableOomKiller: /memory\.oom_control|oom.?killer/i,
  MemUseHierarchy: /use_hierarchy/,
  CPUShares: /cpu\.(shares|weight)\b/,
  CPUQuota: /cpu\.(cfs_quota_us|max)\b/,
  CPUPeriod: /cpu\.(cfs_period_us|max)\b/,
  CPURealtimeRuntime: /cpu\.rt_runtime_us/,
  CPURealtimePeriod: /cpu\.rt_period_us/,
  CPUSetCPUs: /cpuset\.cpus\b/,
  CPUSetMems: /cpuset\.mems\b/,
  PidsLimit: /pids\.max\b/,
  HugepageLimits: /hugetlb|hugepage/i,
  BlockioClass: /blkio|blockio|block I\/O class|\bio\.(bfq\.)?(weight|max)\b/i,
  RdtClass: /\brdt\b|resctrl|intelRdt/i,
  CgroupsUnified: /resources\.unified/,
  CgroupsPath: /cgroups?.?path/i,
  OomScoreAdj: /oom_?score_?adj/i,
  Rlimits: /rlimit/i,
  IoPriority: /io_?prio/i,
  SeccompPolicy: /seccomp/i,
  Namespace: /\bnamespaces?\b/i,
  Sysctl: /sysctl/i,
  LinuxNetDevices: /net_?devices?/i,
  LinuxSched: /sched(uler|_)/i,
  RdtClosID: /\brdt\b|resctrl|intelRdt|closID/i,
  RdtSchemata: /schemata/i,
  RdtEnableMonitoring: /enable_?monitoring/i,
  MemoryPolicy: /memory_?policy|mempolicy/i,
};

/**
 * The error with the plugins in it that asked for what it is about, and the field of each; the error as it is when it is
 * about nothing that a plugin asked for. OCI runtimes tell no fields, so this goes by paths and by their words.
 */
export function naming(
  error: unknown,
  changes: readonly SpecChange[],
  spec: OciSpec | undefined,
): unknown {
  if (changes.length === 0 || isAbort(error)) return error;
  const { code, message, details } = toFault(error);
  const asked = askersOf(message, changes, spec);
  if (asked === "") return error;
  return fault(code, `${message}; ${asked}`, { cause: error, ...(details && { details }) });
}

/**
 * The same for an error of carrying out what plugins asked for: it is theirs in any case. FAILED_PRECONDITION in place of
 * INVALID_ARGUMENT, since the request is not to blame.
 */
export function blaming(error: unknown, changes: readonly SpecChange[]): unknown {
  if (isAbort(error)) return error;
  const { code, message } = toFault(error);
  const asked = askersOf(message, changes, undefined) || askers(changes, () => true);
  const own = code === "INVALID_ARGUMENT" ? "FAILED_PRECONDITION" : code;
  return fault(own, `${message}; ${asked}`, { cause: error });
}

/** Those whose very key or path is in the message, else those whose field it has a word for. */
function askersOf(
  message: string,
  changes: readonly SpecChange[],
  spec: OciSpec | undefined,
): string {
  const named = askers(changes, (field, key) =>
    tracesOf(field, key, spec).some((trace) => isIn(message, trace)),
  );
  return named || askers(changes, (field) => signs[field as FieldName]?.test(message) ?? false);
}

function askers(
  changes: readonly SpecChange[],
  isMeant: (field: string, key: string) => boolean,
): string {
  return changes
    .flatMap(({ by, fields }) => {
      const meant = fields.filter((each) => {
        const [field = "", ...key] = each.split(" ");
        return key.at(-1) !== "removed" && isMeant(field, key.join(" "));
      });
      if (meant.length === 0) return [];
      const more = meant.length > namedFields ? [`and ${meant.length - namedFields} more`] : [];
      // Hooks are shared: "10-a,20-b".
      const names = by.split(",").map((name) => JSON.stringify(name));
      const who = `NRI plugin${names.length > 1 ? "s" : ""} ${names.join(" and ")}`;
      return [`${who} asked for ${[...meant.slice(0, namedFields), ...more].join(", ")}`];
    })
    .slice(0, namedPlugins)
    .join("; ");
}

/** Words that are in no error but one about this. */
function tracesOf(field: string, key: string, spec: OciSpec | undefined): readonly string[] {
  switch (field) {
    case "Mounts": {
      const mount = spec?.mounts.find(({ destination }) => destination === key);
      return mount?.source?.startsWith("/") ? [key, mount.source] : [key];
    }
    case "OciHooks":
      return Object.values(spec?.hooks ?? {}).flatMap((hooks) => hooks.map(({ path }) => path));
    case "Sysctl":
      return [key, `/proc/sys/${key.replaceAll(".", "/")}`];
    case "HugepageLimits":
      return [`hugetlb.${key}.max`, `hugetlb.${key}.limit_in_bytes`];
    case "Env":
      return [`$${key}`];
    case "Namespace": // its names are common words
      return [];
    default:
      return key === "" ? [] : [key];
  }
}

/** As a word or path of its own: `/data` is in neither `/data/x` nor `/mnt/data`, but in `/run/1/rootfs/data`. */
function isIn(message: string, word: string): boolean {
  const isPath = word.startsWith("/");
  for (let at = message.indexOf(word); at >= 0; at = message.indexOf(word, at + 1)) {
    const before = message.slice(Math.max(0, at - 6), at);
    const after = message.slice(at + word.length, at + word.length + 2);
    const begins = before === "rootfs" || !(isPath ? /[\w./-]$/ : /[\w-]$/).test(before);
    if (begins && !/^([\w/-]|\.\w)/.test(after)) return true;
  }
  return false;
}
