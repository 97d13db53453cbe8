// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { run } from "../../base/process.ts";
import { basicMountOptions, usableMountOptions } from "./mount-options.ts";
import type { RuntimeFeatures } from "./ports.ts";

/** What a runtime can do that tells nothing: what the runtime spec has of each. */
export const noRuntimeFeatures: RuntimeFeatures = {
  recursiveReadOnlyMounts: false,
  mountOptions: basicMountOptions,
  idmapMounts: false,
  userNamespaces: false,
  cgroupNamespaces: false,
  netDevices: false,
  rdtSchemata: false,
  rdtMonitoring: false,
  scheduling: false,
  memoryPolicies: [],
};

/**
 * Asks an OCI runtime what it can do (`runc features`). A runtime without that command, or that
 * answers no JSON, can do nothing special: old runtimes are not an error.
 */
export async function readRuntimeFeatures(
  binary: string,
  kernelRelease: string,
  { signal }: Cancellable,
): Promise<RuntimeFeatures> {
  try {
    return await askRuntimeFeatures(binary, kernelRelease, { signal });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Error) return noRuntimeFeatures;
    throw error;
  }
}

/** The same, but a runtime that comes to no end (a signal, a time-out) or is not there is an error, as `run` throws it. */
export async function askRuntimeFeatures(
  binary: string,
  kernelRelease: string,
  { signal, niceness }: Cancellable & { readonly niceness?: number },
): Promise<RuntimeFeatures> {
  const options = { signal, timeoutMs: 5000, anyExitCode: true };
  const nice = niceness === undefined ? {} : { niceness };
  const { stdout } = await run(binary, ["features"], { ...options, ...nice });
  try {
    return parseRuntimeFeatures(stdout.toString("utf8"), kernelRelease);
  } catch {
    return noRuntimeFeatures;
  }
}

/** Reads the output of `runc features` (the OCI runtime spec's features.json). */
export function parseRuntimeFeatures(json: string, kernelRelease: string): RuntimeFeatures {
  const features = JSON.parse(json) as {
    ociVersionMax?: unknown;
    mountOptions?: unknown;
    linux?: {
      namespaces?: unknown;
      mountExtensions?: { idmap?: { enabled?: boolean } };
      intelRdt?: { schemata?: boolean; monitoring?: boolean };
      netDevices?: { enabled?: boolean };
      memoryPolicy?: { modes?: unknown };
    };
  };
  // mount_setattr(2), which both need, came with 5.12; what is asked for in vain fails at start.
  const hasSetattr = isAtLeast(kernelRelease, 5, 12);
  const idmapMounts = hasSetattr && features.linux?.mountExtensions?.idmap?.enabled === true;
  return {
    recursiveReadOnlyMounts: hasSetattr && lists(features.mountOptions, "rro"),
    mountOptions: usableMountOptions(wordsOf(features.mountOptions), hasSetattr),
    idmapMounts,
    // The pod's volumes and /etc files are ours to map only through id-mapped mounts.
    userNamespaces: idmapMounts && lists(features.linux?.namespaces, "user"),
    cgroupNamespaces: lists(features.linux?.namespaces, "cgroup"),
    netDevices: features.linux?.netDevices?.enabled === true,
    rdtSchemata: features.linux?.intelRdt?.schemata === true,
    rdtMonitoring: features.linux?.intelRdt?.monitoring === true,
    // No feature tells of these; they came with this version of the spec.
    scheduling: isAtLeast(String(features.ociVersionMax), 1, 1),
    memoryPolicies: wordsOf(features.linux?.memoryPolicy?.modes) ?? [],
  };
}

function wordsOf(list: unknown): readonly string[] | undefined {
  return Array.isArray(list) ? list.filter((word) => typeof word === "string") : undefined;
}

function lists(list: unknown, word: string): boolean {
  return Array.isArray(list) && list.includes(word);
}

function isAtLeast(release: string, major: number, minor: number): boolean {
  const [, foundMajor = "0", foundMinor = "0"] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  const found = Number(foundMajor);
  return found > major || (found === major && Number(foundMinor) >= minor);
}
