// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type {
  ContainerConfig,
  ContainerMetadata,
  ImageSpec,
  PodSandboxConfig,
  PodSandboxMetadata,
} from "../gen/cri.gen.ts";
import { checkContainerConfigSize, checkSandboxConfigSize } from "./config-limits.ts";

/** A config whose metadata is known to be there. */
export type ValidSandboxConfig = PodSandboxConfig & { metadata: PodSandboxMetadata };
export type ValidContainerConfig = ContainerConfig & {
  metadata: ContainerMetadata;
  image: ImageSpec;
};

/** INVALID_ARGUMENT, naming the field, when a sandbox's config lacks what identifies it or is too large. */
export function validSandboxConfig(config: PodSandboxConfig | null): ValidSandboxConfig {
  if (!config) throw required("config");
  const { metadata } = config;
  if (!metadata) throw required("config.metadata");
  for (const field of ["name", "namespace", "uid"] as const) {
    if (metadata[field] === "") throw required(`config.metadata.${field}`);
  }
  const { logDirectory } = config;
  if (logDirectory !== "" && !logDirectory.startsWith("/")) {
    throw fault("INVALID_ARGUMENT", `config.log_directory "${logDirectory}" is not absolute`);
  }
  checkSandboxConfigSize(config);
  return { ...config, metadata };
}

/** INVALID_ARGUMENT, naming the field, when a container's config lacks what it cannot do without or is too large. */
export function validContainerConfig(config: ContainerConfig | null): ValidContainerConfig {
  if (!config) throw required("config");
  const { metadata, image } = config;
  if (!metadata) throw required("config.metadata");
  if (metadata.name === "") throw required("config.metadata.name");
  if (!image) throw required("config.image");
  if (image.image === "") throw required("config.image.image");
  const { logPath } = config;
  if (logPath.split("/").includes("..")) {
    throw fault("INVALID_ARGUMENT", `config.log_path "${logPath}" leads out of the log directory`);
  }
  checkContainerConfigSize(config);
  return { ...config, metadata, image };
}

/** Of CheckpointPod and RestorePod: Berth knows no options, and cri-api has those refused that a runtime does not know. */
export function refuseOptions(options: Readonly<Record<string, string>>): void {
  const [name] = Object.keys(options);
  if (name !== undefined) throw fault("INVALID_ARGUMENT", `option "${name}" is not known`);
}

function required(field: string): Error {
  return fault("INVALID_ARGUMENT", `${field} is required`);
}

/** The name under which a sandbox is reserved: what a kubelet's retry repeats. */
export function sandboxName({ name, namespace, uid, attempt }: PodSandboxMetadata): string {
  return [name, namespace, uid, attempt].join("_");
}

/** The name under which a container is reserved. */
export function containerName(container: ContainerMetadata, sandbox: PodSandboxMetadata): string {
  const { name, namespace, uid } = sandbox;
  return [container.name, name, namespace, uid, container.attempt].join("_");
}
