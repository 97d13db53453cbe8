// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants, existsSync } from "node:fs";
import path from "node:path";

const systemFolders = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
];

/** The full path of a program, looked up in PATH and the system's own folders. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(":"), ...systemFolders];
  for (const folder of folders) {
    if (folder === "") continue;
    const candidate = path.join(folder, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {}
  }
  return undefined;
}

/** What a test that runs real pods needs. */
export const podPrograms = [
  "runc",
  "containerd-shim-runc-v2",
  "busybox",
  "skopeo",
  "docker-registry",
  "iptables",
  "ip",
] as const;

/** A reason to skip, naming what is missing; false when all is there. Fits `test(name, { skip })`. */
export function lacking(...programs: readonly string[]): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  const missing = programs.filter((name) => findProgram(name) === undefined);
  if (!existsSync(cniBinFolder())) missing.push("CNI plugins (containernetworking-plugins)");
  return missing.length === 0 ? false : `needs ${missing.join(", ")}`;
}

/** Where the CNI plugins are: Debian's place, or upstream's. */
export function cniBinFolder(): string {
  return existsSync("/usr/lib/cni/bridge") ? "/usr/lib/cni" : "/opt/cni/bin";
}
