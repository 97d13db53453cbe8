// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { nowNanos } from "../../base/now.ts";
import type { LinuxContainerResources } from "../../gen/cri.gen.ts";
import type { Image, Images } from "../../images/ports.ts";
import type { OciSpec } from "../../oci/spec.ts";
import { checkpointFiles } from "../checkpoint/checkpoint-files.ts";
import { echoedMounts } from "../convert/echoed-mounts.ts";
import type { PodHandler } from "../handlers/handlers.ts";
import type { BuiltContainerSpec } from "../oci-spec/ports.ts";
import type { ReadySandbox } from "../sandbox/ready-sandbox.ts";
import type { ReviewedContainer } from "../spec-review.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import type { ValidContainerConfig } from "../validate.ts";
import { limitsWithPlugins } from "./change-limits.ts";

/** A container that CreateContainer is about to make. */
export interface NewContainer {
  readonly id: string;
  readonly name: string;
  readonly config: ValidContainerConfig;
  readonly sandbox: ReadySandbox;
  readonly handler: PodHandler;
  readonly image: Image;
  /** The folder of an unpacked checkpoint, for a container that is restored. */
  readonly restore: string | undefined;
}

/** What is stored of it, in the state "created". */
export function newContainerRecord(
  images: Images,
  plan: NewContainer,
  built: BuiltContainerSpec & ReviewedContainer,
): ContainerRecord {
  const { config, image, sandbox } = plan;
  const { user, changes, limits } = built;
  const requested = effective(config.linux?.resources, built.spec);
  return {
    id: plan.id,
    name: plan.name,
    sandboxId: sandbox.id,
    config,
    createdAtNanos: nowNanos(),
    imageId: image.id,
    imageName: image.repoTags[0] ?? image.repoDigests[0] ?? requestedImage(config),
    imageRef: image.repoDigests[0] ?? image.id,
    imageStopSignal: image.config.stopSignal,
    logPath: logPath(sandbox.config.logDirectory, config.logPath),
    mounts: echoedMounts(config.mounts, images),
    resources: limits ? limitsWithPlugins(requested, limits) : requested,
    user: { uid: user.uid, gid: user.gid, groups: user.supplementalGroups },
    cgroupsPath: built.spec.linux.cgroupsPath ?? "",
    state: { kind: "created" },
    ...(plan.restore !== undefined && { checkpoint: checkpointFiles(plan.restore).criu }),
    ...(changes.length > 0 && { changes }),
  };
}

/** The limits as they are going to hold: an OOM score may have been raised to what the daemon may set. */
function effective(
  requested: LinuxContainerResources | null | undefined,
  { process }: OciSpec,
): LinuxContainerResources | null {
  if (!requested) return null;
  return { ...requested, oomScoreAdj: BigInt(process.oomScoreAdj ?? requested.oomScoreAdj) };
}

/** "" unless both the pod's folder and the container's file are given. */
function logPath(directory: string, file: string): string {
  return directory === "" || file === "" ? "" : path.join(directory, file);
}

/** The image as the pod names it. */
export function requestedImage(config: ValidContainerConfig): string {
  return config.image.userSpecifiedImage === ""
    ? config.image.image
    : config.image.userSpecifiedImage;
}
