// SPDX-License-Identifier: Apache-2.0
import type { OciMount } from "../../oci/spec.ts";
import type { SandboxFiles } from "./ports.ts";

/** The three files under /etc that a sandbox shares with its containers; its root owns them. */
export function sandboxFileMounts(files: SandboxFiles, readonlyRootfs: boolean): OciMount[] {
  return [
    ["/etc/hostname", files.hostname],
    ["/etc/hosts", files.hosts],
    ["/etc/resolv.conf", files.resolvConf],
  ]
    .filter(([, source]) => source !== "")
    .map(([destination = "", source = ""]) =>
      bind(source, destination, readonlyRootfs ? "ro" : "rw"),
    );
}

/** The pod's /dev/shm, or the host's for a pod in the host's IPC namespace. Never id-mapped. */
export function sharedMemoryMount(files: SandboxFiles, hostIpc: boolean): OciMount[] {
  const source = hostIpc ? "/dev/shm" : files.shm;
  return source === "" ? [] : [bind(source, "/dev/shm", "rw")];
}

/**
 * Puts mounts in the order they are made. `preferred` come first by claim: they replace what the
 * spec has at the same place, and a whole /dev of their own replaces everything the spec has below.
 * Parents come before children; equals keep their order.
 */
export function mergeMounts(
  defaults: readonly OciMount[],
  preferred: readonly OciMount[],
): OciMount[] {
  const taken = new Set(preferred.map(({ destination }) => destination));
  const kept = defaults.filter(
    ({ destination }) =>
      !taken.has(destination) && !(taken.has("/dev") && destination.startsWith("/dev/")),
  );
  return [...kept, ...preferred.toSorted((a, b) => depth(a) - depth(b))];
}

/** Of several mounts at one place the earlier list's wins; within a list the last. */
export function firstClaims(...lists: readonly (readonly OciMount[])[]): OciMount[] {
  const chosen = new Map<string, OciMount>();
  for (const list of lists) {
    const own = new Map(list.map((mount) => [mount.destination, mount]));
    for (const [destination, mount] of own) {
      if (!chosen.has(destination)) chosen.set(destination, mount);
    }
  }
  return [...chosen.values()];
}

function bind(source: string, destination: string, access: "ro" | "rw"): OciMount {
  return { destination, type: "bind", source, options: ["rbind", "rprivate", access] };
}

function depth({ destination }: OciMount): number {
  return destination.split("/").filter((part) => part !== "").length;
}
