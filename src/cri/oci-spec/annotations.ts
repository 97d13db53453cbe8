// SPDX-License-Identifier: Apache-2.0
import type { RuntimeHandlerConfig } from "../../config/config.ts";
import type { PodSandboxConfig } from "../../gen/cri.gen.ts";
import { crunAnnotations } from "./crun.ts";
import { globMatches } from "./glob.ts";

/**
 * Names under io.kubernetes.cri that shims, kata, gVisor and node agents read from a spec.
 * container-type and sandbox-id decide which shim a container joins: they must be exact.
 */
const prefix = "io.kubernetes.cri.";

type OfSandboxes = Pick<RuntimeHandlerConfig, "binaryName" | "podAnnotations" | "systemdCgroup">;

/** Annotations of the sandbox's spec: what the handler lets through, then ours, which win. */
export function sandboxAnnotations(
  id: string,
  config: PodSandboxConfig,
  handler: OfSandboxes,
): Record<string, string> {
  const resources = config.linux?.resources;
  const named: Record<string, string> = {
    ...crunAnnotations(handler),
    ...passedThrough(config.annotations, handler.podAnnotations),
    ...identity("sandbox", id, config),
    [`${prefix}sandbox-log-directory`]: config.logDirectory,
    [`${prefix}sandbox-cpu-period`]: String(resources?.cpuPeriod ?? 0n),
    [`${prefix}sandbox-cpu-quota`]: String(resources?.cpuQuota ?? 0n),
    [`${prefix}sandbox-cpu-shares`]: String(resources?.cpuShares ?? 0n),
    [`${prefix}sandbox-memory`]: String(resources?.memoryLimitInBytes ?? 0n),
  };
  return named;
}

/** Annotations of a container's spec. The container's own win over the pod's of the same name. */
export function containerAnnotations(
  container: {
    readonly name: string;
    readonly imageName: string;
    readonly annotations: Readonly<Record<string, string>>;
  },
  sandboxId: string,
  sandbox: PodSandboxConfig,
  handler: OfSandboxes & Pick<RuntimeHandlerConfig, "containerAnnotations">,
): Record<string, string> {
  return {
    ...crunAnnotations(handler),
    ...passedThrough(sandbox.annotations, handler.podAnnotations),
    ...passedThrough(container.annotations, handler.containerAnnotations),
    ...identity("container", sandboxId, sandbox),
    [`${prefix}container-name`]: container.name,
    [`${prefix}image-name`]: container.imageName,
  };
}

/** Adds what the pod's pause image is called; kata and gVisor look for it. */
export function podImageAnnotation(image: string): Record<string, string> {
  return { [`${prefix}podsandbox.image-name`]: image };
}

function identity(
  type: "sandbox" | "container",
  sandboxId: string,
  config: PodSandboxConfig,
): Record<string, string> {
  return {
    [`${prefix}container-type`]: type,
    [`${prefix}sandbox-id`]: sandboxId,
    [`${prefix}sandbox-namespace`]: config.metadata?.namespace ?? "",
    [`${prefix}sandbox-uid`]: config.metadata?.uid ?? "",
    [`${prefix}sandbox-name`]: config.metadata?.name ?? "",
  };
}

/**
 * Annotations by which OCI runtimes take orders: properties of the container's systemd unit, such as a
 * command to run on the host (CVE-2024-3154), CRIU's configuration file, crun's hooks and settings.
 */
const ordersToRuntimes = ["org.systemd.property.", "org.criu.", "run.oci."];

function passedThrough(
  annotations: Readonly<Record<string, string>>,
  globs: readonly string[],
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).filter(([name]) => globs.some((glob) => passes(glob, name))),
  );
}

/** An order passes by a glob that names its kind, and not by one like "*" that is about everything. */
function passes(glob: string, name: string): boolean {
  const order = ordersToRuntimes.find((prefix) => name.startsWith(prefix));
  return (order === undefined || glob.startsWith(order)) && globMatches(glob, name);
}
