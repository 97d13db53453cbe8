// SPDX-License-Identifier: Apache-2.0

/** Berth's own profile; `runtime/default` means it unless the configuration names another. */
export const builtInProfileName = "berth-default";

export interface ProfileFacts {
  readonly name: string;
  /** AppArmor label of the daemon, and so of its shims; "unconfined" where no profile holds them. */
  readonly daemonLabel: string;
  /** Version of apparmor_parser as `[major, minor]`: rules that an older one does not know are left out. */
  readonly parser: readonly [major: number, minor: number];
}

/**
 * Profiles that recent releases ship for OCI runtimes. They confine nothing, but they are labels of
 * their own: a signal that runc sends under one of them does not come from "unconfined".
 */
const runtimeLabels = ["runc", "crun"];

/**
 * The default profile as apparmor_parser reads it. It needs no include, so it loads where only the
 * parser is installed. What it denies is what would reach the host even from a process that is root
 * with the usual capabilities: kernel settings below /proc and /sys, mounts, and foreign processes.
 * Everything else is left to the other walls (capabilities, seccomp, namespaces, file modes).
 */
export function defaultProfileText({ name, daemonLabel, parser }: ProfileFacts): string {
  const senders = new Set(["unconfined", ...runtimeLabels, daemonLabel]);
  const lines = [
    "# What containers get that ask for the runtime's default AppArmor profile. Made by Berth.",
    `profile "${name}" flags=(attach_disconnected, mediate_deleted) {`,
    ...indented([
      "capability,",
      "file,",
      "network,",
      "unix,",
      "umount,",
      // Mediated by newer parsers; what they let through here seccomp and capabilities still hold.
      ...(parser[0] >= 4 ? ["userns,", "mqueue,"] : []),
      "",
      "# Signals come from the host's processes and stay within the profile.",
      ...[...senders].map((label) => `signal (receive) peer="${label}",`),
      `signal (send, receive) peer="${name}",`,
      "",
      "# Debuggers reach what has the same profile; the host's may look in.",
      `ptrace (trace, read, tracedby, readby) peer="${name}",`,
      ...[...senders].map((label) => `ptrace (tracedby, readby) peer="${label}",`),
      "",
      "# Host memory and the magic key are for nobody.",
      "deny /proc/{kcore,kmem,mem,sysrq-trigger} rwklx,",
      "# Settings in /proc: processes' own folders and System V shared memory stay writable.",
      "deny /proc/* w,",
      `deny /proc/${othersThan("sys", "0-9")}/** w,`,
      `deny /proc/sys/${othersThan("kernel")}/** w,`,
      `deny /proc/sys/kernel/${notStartingWith("shm")} w,`,
      "",
      "# Settings in /sys: cgroups are left to their own permissions.",
      `deny /sys/${othersThan("fs")}/** wklx,`,
      `deny /sys/fs/${othersThan("cgroup")}/** wklx,`,
      "deny /sys/{firmware,kernel/security,devices/virtual/powercap}/** rwklx,",
      "",
      "deny mount,",
    ]),
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

/**
 * A glob for every name but `name`, and but those that start with one of `spared`. AppArmor has no
 * "all but", and no later rule takes a deny back: what differs at each letter is spelled out.
 */
export function othersThan(name: string, spared = ""): string {
  const differing = differingAt(name, spared).map((glob) => `${glob}*`);
  return `{${[...differing, ...beginnings(name), `${name}?*`].join(",")}}`;
}

/** A glob for every path whose first name does not start with `prefix`. */
export function notStartingWith(prefix: string): string {
  return `{${[...differingAt(prefix).map((glob) => `${glob}**`), ...beginnings(prefix)].join(",")}}`;
}

function differingAt(name: string, spared = ""): string[] {
  return name.split("").map((letter, index) => {
    const others = index === 0 ? `${spared}${letter}` : letter;
    return `${name.slice(0, index)}[^${others}]`;
  });
}

/** "sys" → "s", "sy". */
function beginnings(name: string): string[] {
  return name
    .split("")
    .slice(1)
    .map((_letter, index) => name.slice(0, index + 1));
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => (line === "" ? "" : `  ${line}`));
}
