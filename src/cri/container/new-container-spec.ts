// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { chainUsage } from "../../snapshots/chain-usage.ts";
import type { BuiltContainerSpec } from "../oci-spec/ports.ts";
import type { CriParts } from "../parts.ts";
import { criNamespace } from "../ports.ts";
import { imageVolumePath, type VolumeNeeds } from "../sandbox/image-volumes.ts";
import { describeState } from "../store/container-record.ts";
import { netnsPathOf } from "../store/sandbox-record.ts";
import { type NewContainer, requestedImage } from "./new-container-record.ts";

export type NewSpecNeeds = VolumeNeeds &
  Pick<CriParts, "config" | "containers" | "hostFacts" | "paths" | "snapshotter" | "specs">;

/** Builds the spec of a new container from its config, image and pod. Its snapshot need not be there yet. */
export async function newContainerSpec(
  parts: NewSpecNeeds,
  plan: NewContainer,
  call: Cancellable,
): Promise<BuiltContainerSpec> {
  const { hostFacts, paths, snapshotter, specs } = parts;
  const { id, sandbox, config, image, handler } = plan;
  const layers = snapshotter.directories(criNamespace, image.chainId);
  return specs.container({
    id,
    sandbox: {
      id: sandbox.id,
      pid: sandbox.pid,
      netnsPath: netnsPathOf(sandbox.record),
      config: sandbox.config,
    },
    config,
    image,
    imageName: requestedImage(config),
    handler: handler.config,
    features: handler.features,
    cri: parts.config.cri,
    host: hostFacts,
    files: paths.sandboxFiles(sandbox.id),
    targetPid: targetPid(parts, plan),
    rootfs: specs.openRootfs(layers),
    volumesDir: paths.volumes(id),
    imageUsage: () => chainUsage(snapshotter, criNamespace, image.chainId, call),
    signal: call.signal,
    imageVolumePath: (mount) => imageVolumePath(parts, sandbox.id, mount, call),
  });
}

/** The pid whose namespace pid mode TARGET joins; undefined in other modes. */
function targetPid(
  { containers }: Pick<NewSpecNeeds, "containers">,
  { config, sandbox }: NewContainer,
): number | undefined {
  const options = config.linux?.securityContext?.namespaceOptions;
  if (options?.pid !== "TARGET") return undefined;
  const target = containers.require(options.targetId);
  if (target.sandboxId !== sandbox.id) {
    throw fault("INVALID_ARGUMENT", `target container "${target.id}" is in another sandbox`);
  }
  if (target.state.kind === "running") return target.state.pid;
  throw fault(
    "FAILED_PRECONDITION",
    `target container "${target.id}" is not running: state is ${describeState(target.state)}`,
  );
}
