// SPDX-License-Identifier: Apache-2.0

/** A line of /proc/PID/cgroup (cgroups(7)). */
export interface CgroupMembership {
  /** Names with commas between; "" for the unified hierarchy, `name=systemd` for one of v1 without any. */
  readonly controllers: string;
  /** From the hierarchy's top, as the reader's cgroup namespace shows it. */
  readonly place: string;
}

/** Parses /proc/PID/cgroup; a line that does not fit is skipped. */
export function parseCgroups(text: string): CgroupMembership[] {
  return text
    .split("\n")
    .map((line) => /^\d+:([^:]*):(.+)$/.exec(line))
    .filter((match) => match !== null)
    .map((match) => ({ controllers: match[1] ?? "", place: match[2] ?? "" }));
}
