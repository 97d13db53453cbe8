// SPDX-License-Identifier: Apache-2.0
import type { Capability } from "../../gen/cri.gen.ts";
import type { OciCapabilities } from "../../runtime/oci/spec.ts";
import { invalid, unsupported } from "./invalid.ts";

/** What an unprivileged container has unless the request says otherwise. */
export const defaultCapabilities: readonly string[] = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FSETID",
  "FOWNER",
  "MKNOD",
  "NET_RAW",
  "SETGID",
  "SETUID",
  "SETFCAP",
  "SETPCAP",
  "NET_BIND_SERVICE",
  "SYS_CHROOT",
  "KILL",
  "AUDIT_WRITE",
].map((name) => `CAP_${name}`);

/** Every capability by its number in linux/capability.h. */
export const knownCapabilities: readonly string[] = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
  "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO " +
  "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME " +
  "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG " +
  "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

const field = "linux.security_context.capabilities";

/**
 * The capability set of a container. ALL is applied before single names, so `add ALL, drop KILL`
 * and `drop ALL, add CHOWN` mean what they say. Names are case-insensitive, with or without CAP_.
 * `initial` is the base spec's set; `available` is what the kernel and the daemon have.
 */
export function resolveCapabilities(
  requested: Capability | null,
  initial: readonly string[],
  available: readonly string[],
): string[] {
  const add = (requested?.addCapabilities ?? []).map((name) => parse(name, "add_capabilities"));
  const drop = (requested?.dropCapabilities ?? []).map((name) => parse(name, "drop_capabilities"));
  // Accepted and without effect, as in containerd: ambient sets stay empty.
  for (const name of requested?.addAmbientCapabilities ?? [])
    parse(name, "add_ambient_capabilities");
  let set = new Set(initial);
  if (add.includes("ALL")) set = new Set(available);
  if (drop.includes("ALL")) set = new Set();
  for (const name of add) if (name !== "ALL") set.add(name);
  for (const name of drop) if (name !== "ALL") set.delete(name);
  for (const name of add) {
    if (name !== "ALL" && !drop.includes(name) && !available.includes(name)) {
      throw unsupported(`${field}.add_capabilities`, `${name} is not available on this host`);
    }
  }
  return knownCapabilities.filter((name) => set.has(name) && available.includes(name));
}

/** The sets of a process: inheritable and ambient are always empty. */
export function capabilitySets(names: readonly string[]): OciCapabilities {
  return { bounding: [...names], effective: [...names], permitted: [...names] };
}

function parse(name: string, where: string): string {
  const upper = name.toUpperCase();
  if (upper === "ALL") return upper;
  const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!knownCapabilities.includes(full)) {
    throw invalid(`${field}.${where}`, `unknown capability "${name}"`);
  }
  return full;
}
