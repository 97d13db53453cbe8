// SPDX-License-Identifier: Apache-2.0
import type {
  ContainerInit,
  ContainerState,
  ContainerStatusInit,
  ImageSpecInit,
  Signal,
} from "../../gen/cri.gen.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { criSignalName } from "../task/signals.ts";

const states = {
  created: "CONTAINER_CREATED",
  running: "CONTAINER_RUNNING",
  exited: "CONTAINER_EXITED",
  unknown: "CONTAINER_UNKNOWN",
} as const satisfies Record<ContainerRecord["state"]["kind"], ContainerState>;

/** The container's state as CRI knows it. */
export function containerState({ state }: ContainerRecord): ContainerState {
  return states[state.kind];
}

/**
 * The container as ListContainers shows it. `imageRef` is the image's id here and a digest reference
 * in ContainerStatus: kubelets have come to rely on containerd doing so.
 */
export function toContainer(record: ContainerRecord): ContainerInit {
  const { config } = record;
  return {
    id: record.id,
    podSandboxId: record.sandboxId,
    metadata: config.metadata,
    image: config.image,
    imageRef: record.imageId,
    imageId: record.imageId,
    state: containerState(record),
    createdAt: record.createdAtNanos,
    labels: config.labels,
    annotations: config.annotations,
  };
}

/** The container as ContainerStatus shows it. */
export function toContainerStatus(record: ContainerRecord): ContainerStatusInit {
  const { config, user } = record;
  return {
    id: record.id,
    metadata: config.metadata,
    state: containerState(record),
    createdAt: record.createdAtNanos,
    ...course(record),
    image: imageSpec(record),
    imageRef: record.imageRef,
    imageId: record.imageId,
    labels: config.labels,
    annotations: config.annotations,
    mounts: record.mounts,
    logPath: record.logPath,
    resources: record.resources ? { linux: record.resources } : null,
    user: {
      linux: {
        uid: BigInt(user.uid),
        gid: BigInt(user.gid),
        supplementalGroups: user.groups.map(BigInt),
      },
    },
    stopSignal: effectiveStopSignal(record),
  };
}

function course({ state }: ContainerRecord): ContainerStatusInit {
  switch (state.kind) {
    case "created":
      return {};
    case "running":
      return { startedAt: state.startedAtNanos };
    case "unknown":
      return { reason: "Unknown", message: state.reason };
    case "exited":
      break;
  }
  return {
    startedAt: state.startedAtNanos,
    finishedAt: state.finishedAtNanos,
    exitCode: state.exitCode,
    reason: state.reason,
    message: state.message,
  };
}

function imageSpec({ config, imageName }: ContainerRecord): ImageSpecInit {
  return { ...config.image, image: imageName };
}

function effectiveStopSignal({ config, imageStopSignal }: ContainerRecord): Signal {
  if (config.stopSignal !== "SIGNAL_RUNTIME_DEFAULT") return config.stopSignal;
  const ofImage = criSignalName(imageStopSignal);
  return ofImage === "SIGNAL_RUNTIME_DEFAULT" ? "SIGNAL_SIGTERM" : ofImage;
}
