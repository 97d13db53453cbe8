// SPDX-License-Identifier: Apache-2.0
import type { OciCapabilities } from "./spec.ts";

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

/** Those that the process of a /proc/PID/status may have at most, on a kernel whose cap_last_cap is this. */
export function boundingCapabilities(status: string, lastCap: string): readonly string[] {
  const bounding = capabilityMask(status, "CapBnd");
  const last = Number(lastCap.trim() || knownCapabilities.length - 1);
  return knownCapabilities.filter(
    (_name, number) => number <= last && ((bounding >> BigInt(number)) & 1n) === 1n,
  );
}

/** A set of /proc/PID/status, a bit for each capability. */
export function capabilityMask(status: string, set: string): bigint {
  const hex = new RegExp(`^${set}:\\s*([0-9a-f]+)`, "m").exec(status)?.[1];
  return hex === undefined ? 0n : BigInt(`0x${hex}`);
}

/** The sets of a process: inheritable and ambient are always empty. */
export function capabilitySets(names: readonly string[]): OciCapabilities {
  return { bounding: [...names], effective: [...names], permitted: [...names] };
}
