// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { chown, mkdir, readFile, writeFile } from "node:fs/promises";
import { errnoOf } from "../../base/errors.ts";
import { hostId } from "../../base/os/id-mapping.ts";
import type { DNSConfig, PodSandboxConfig } from "../../gen/cri.gen.ts";
import { podHostname } from "../oci-spec/pod-hostname.ts";
import type { UserMappings } from "../oci-spec/user-namespace.ts";
import type { CriParts } from "../parts.ts";
import type { CriPaths } from "../paths.ts";
import type { HostMounts } from "../ports.ts";

export type RemoveFilesNeeds = Pick<CriParts, "hostMounts" | "paths" | "remover">;

/** What containers get as /dev/shm unless the pod has the node's IPC. */
const shmBytes = 64 * 1024 * 1024;

/**
 * Makes a sandbox's folders with hostname, hosts and resolv.conf, and mounts its /dev/shm. What is
 * there from an attempt that failed is written over.
 */
export async function makeSandboxFiles(
  sandbox: { readonly id: string; readonly config: PodSandboxConfig },
  options: {
    readonly paths: CriPaths;
    readonly hostMounts: HostMounts;
    /** The node's. */
    readonly hostname: string;
    /** Of a pod with a user namespace: its root owns the files. */
    readonly mappings: UserMappings | undefined;
  },
): Promise<void> {
  const { config } = sandbox;
  const files = options.paths.sandboxFiles(sandbox.id);
  const [durable] = options.paths.sandbox(sandbox.id);
  await Promise.all([
    mkdir(durable, { recursive: true, mode: 0o700 }),
    mkdir(files.shm, { recursive: true, mode: 0o700 }),
  ]);
  await Promise.all([
    writeFile(files.hostname, `${podHostname(config, options.hostname)}\n`),
    hostFile("/etc/hosts").then((text) => writeFile(files.hosts, text)),
    resolvConf(config.dnsConfig).then((text) => writeFile(files.resolvConf, text)),
  ]);
  const { mappings, hostMounts } = options;
  const uid = mappings === undefined ? 0 : hostId(mappings.uids, 0);
  const gid = mappings === undefined ? 0 : hostId(mappings.gids, 0);
  if (mappings !== undefined) {
    const made = [files.hostname, files.hosts, files.resolvConf];
    await Promise.all(made.map((file) => chown(file, uid, gid)));
  }
  if (config.linux?.securityContext?.namespaceOptions?.ipc !== "NODE") {
    hostMounts.mountShm(files.shm, shmBytes, { uid, gid });
  }
}

/**
 * Unmounts /dev/shm and removes the folders. No error when nothing is there, or when something is held. The table of mounts,
 * which is as long as the node is full, is read for pods with image volumes alone.
 */
export async function removeSandboxFiles(
  { paths, hostMounts, remover }: RemoveFilesNeeds,
  id: string,
): Promise<void> {
  const [durable, volatile] = paths.sandbox(id);
  // What stays mounted for some reason is detached when its turn comes; the pod shall go now.
  try {
    if (existsSync(paths.imageVolumes(id))) await hostMounts.unmountBelow(volatile);
    else hostMounts.unmountShm(paths.sandboxFiles(id).shm);
  } catch {}
  await Promise.all([remover.remove(volatile), remover.remove(durable)]);
}

/** resolv.conf of a DNS config; without one, or with an empty one, the host's. */
async function resolvConf(dns: DNSConfig | null): Promise<string | Buffer> {
  const lines: string[] = [];
  if (dns && dns.searches.length > 0) lines.push(`search ${dns.searches.join(" ")}`);
  for (const server of dns?.servers ?? []) lines.push(`nameserver ${server}`);
  if (dns && dns.options.length > 0) lines.push(`options ${dns.options.join(" ")}`);
  return lines.length === 0 ? hostFile("/etc/resolv.conf") : `${lines.join("\n")}\n`;
}

async function hostFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}
