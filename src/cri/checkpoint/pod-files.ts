// SPDX-License-Identifier: Apache-2.0
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { fault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { readBounded } from "../../base/read-bounded.ts";
import type { ContainerConfig, PodSandboxConfig } from "../../gen/cri.gen.ts";
import { codec } from "../../rpc/codec.ts";

/** What CheckpointPod leaves in its caller's folder: one archive. */
export const podArchiveName = "pod-checkpoint.tar";

/** Of an archive of this version pod.json is a StoredPod. */
const version = 1;
const maxDocumentBytes = 4 * 1024 * 1024;
const maxNameChars = 255;
/** More containers than any pod has. */
const maxContainers = 1000;

/** Where the parts of an unpacked pod's checkpoint are. The archive has no say in it: containers are counted. */
export const podFiles = (
  folder: string,
): { readonly pod: string; readonly container: (index: number) => string } => ({
  pod: path.join(folder, "pod.json"),
  container: (index) => path.join(folder, "containers", String(index)),
});

/** A pod as it was checkpointed. */
export interface CheckpointedPod {
  readonly config: PodSandboxConfig;
  /** Type of the runtime whose shim wrote the images: `io.containerd.runc.v2`. */
  readonly runtime: string;
  /** In the order of the folders. */
  readonly containers: readonly CheckpointedContainer[];
}

export interface CheckpointedContainer {
  readonly config: ContainerConfig;
  /** Id of its image's config, `sha256:…`. */
  readonly imageId: string;
}

/** pod.json: wire messages as base64 of their protobuf. */
interface StoredPod {
  readonly version: number;
  readonly checkpointedTime: string;
  readonly config: string;
  readonly runtime: string;
  readonly containers: readonly { readonly config: string; readonly imageId: string }[];
}

export async function writePod(folder: string, pod: CheckpointedPod): Promise<void> {
  const stored: StoredPod = {
    version,
    checkpointedTime: new Date().toISOString(),
    config: codec("runtime.v1.PodSandboxConfig").encode(pod.config).toString("base64"),
    runtime: pod.runtime,
    containers: pod.containers.map(({ config, imageId }) => ({
      config: codec("runtime.v1.ContainerConfig").encode(config).toString("base64"),
      imageId,
    })),
  };
  const text = JSON.stringify(stored);
  if (text.length > maxDocumentBytes) {
    throw fault("RESOURCE_EXHAUSTED", "the configuration of the pod has more than 4 MiB");
  }
  await writeFile(podFiles(folder).pod, text, { mode: 0o600 });
}

/** Reads what an archive says of its pod. INVALID_ARGUMENT when it is none, or of another version. */
export async function readPod(folder: string): Promise<CheckpointedPod> {
  let document: unknown;
  try {
    document = JSON.parse((await readBounded(podFiles(folder).pod, maxDocumentBytes)).toString());
  } catch (error) {
    throw fault("INVALID_ARGUMENT", "the archive is no checkpoint of a pod", { cause: error });
  }
  if (!isRecord(document)) throw fault("INVALID_ARGUMENT", "the archive is no checkpoint of a pod");
  if (document["version"] !== version) {
    throw fault(
      "INVALID_ARGUMENT",
      `the checkpoint's version is ${JSON.stringify(document["version"])?.slice(0, 40)}, not ${version}`,
    );
  }
  const { config, containers, runtime } = document;
  if (!Array.isArray(containers) || containers.length === 0 || containers.length > maxContainers) {
    throw lying("its containers are no list of 1 to 1000");
  }
  return {
    config: decoded("PodSandboxConfig", config),
    runtime: name("runtime", runtime),
    containers: containers.map((container: unknown) => {
      if (!isRecord(container)) throw lying("a container is no object");
      const imageId = name("imageId", container["imageId"]);
      return { config: decoded("ContainerConfig", container["config"]), imageId };
    }),
  };
}

function decoded<K extends "PodSandboxConfig" | "ContainerConfig">(
  name: K,
  value: unknown,
): K extends "PodSandboxConfig" ? PodSandboxConfig : ContainerConfig {
  try {
    const encoded = text("config", value);
    const bytes = Buffer.from(encoded, "base64");
    if (bytes.toString("base64") !== encoded) throw new Error("it is no base64"); // Node skips what is none
    return codec(`runtime.v1.${name}`).decode(bytes) as never;
  } catch (error) {
    throw lying(`a config is no ${name}`, error);
  }
}

/** What messages repeat. */
function name(field: string, value: unknown): string {
  const found = text(field, value);
  if (found.length <= maxNameChars) return found;
  throw lying(`"${field}" has more than ${maxNameChars} characters`);
}

function text(field: string, value: unknown): string {
  if (typeof value === "string") return value;
  throw lying(`"${field}" is no string`);
}

function lying(what: string, cause?: unknown): Error {
  return fault("INVALID_ARGUMENT", `the checkpoint of a pod cannot be read: ${what}`, { cause });
}
