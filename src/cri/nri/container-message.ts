// SPDX-License-Identifier: Apache-2.0
import type { ContainerInit, ContainerState, LinuxContainerInit } from "../../nri/messages.ts";
import type { OciHook, OciLinux, OciSpec } from "../../oci/spec.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { fromOciResources } from "./resource-messages.ts";
import { schedulingMessage } from "./scheduling-messages.ts";

/** A container as plugins know it. Without a spec, as of one whose container is gone, what only that has is left out. */
export function containerMessage(
  record: ContainerRecord,
  spec: OciSpec | undefined,
): ContainerInit {
  const { config, user } = record;
  return {
    id: record.id,
    podSandboxId: record.sandboxId,
    name: config.metadata?.name,
    labels: config.labels,
    annotations: { ...spec?.annotations, ...config.annotations },
    createdAt: record.createdAtNanos,
    ...course(record),
    CDIDevices: config.CDIDevices.map(({ name }) => ({ name })),
    user: { uid: user.uid, gid: user.gid, additionalGids: user.groups },
    image: { name: record.imageName, digest: digestOf(record), configDigest: record.imageId },
    ...(spec && ofSpec(record, spec)),
  };
}

function ofSpec(record: ContainerRecord, spec: OciSpec): ContainerInit {
  const { process, mounts, hooks, linux } = spec;
  return {
    args: process.args,
    env: process.env,
    mounts,
    hooks: hooks && {
      prestart: hooksOf(hooks.prestart),
      createRuntime: hooksOf(hooks.createRuntime),
      createContainer: hooksOf(hooks.createContainer),
      startContainer: hooksOf(hooks.startContainer),
      poststart: hooksOf(hooks.poststart),
      poststop: hooksOf(hooks.poststop),
    },
    rlimits: process.rlimits,
    linux: {
      ...ofLinux(linux),
      ...schedulingMessage(process),
      oomScoreAdj: process.oomScoreAdj === undefined ? undefined : { value: process.oomScoreAdj },
      seccompProfile: seccompProfile(record),
    },
  };
}

function hooksOf(hooks: readonly OciHook[] = []) {
  return hooks.map(({ timeout, ...hook }) => ({
    ...hook,
    ...(timeout !== undefined && { timeout: { value: timeout } }),
  }));
}

function ofLinux(linux: OciLinux): LinuxContainerInit {
  const { devices = [], intelRdt, seccomp } = linux;
  return {
    namespaces: linux.namespaces,
    devices: devices.map(({ fileMode, uid, gid, ...device }) => ({
      ...device,
      ...(fileMode !== undefined && { fileMode: { value: fileMode } }),
      ...(uid !== undefined && { uid: { value: uid } }),
      ...(gid !== undefined && { gid: { value: gid } }),
    })),
    resources: fromOciResources(linux.resources),
    cgroupsPath: linux.cgroupsPath,
    seccompPolicy: seccomp && {
      ...seccomp,
      defaultErrno:
        seccomp.defaultErrnoRet === undefined ? undefined : { value: seccomp.defaultErrnoRet },
      syscalls: seccomp.syscalls?.map(({ errnoRet, ...rule }) => ({
        ...rule,
        ...(errnoRet !== undefined && { errnoRet: { value: errnoRet } }),
      })),
    },
    sysctl: linux.sysctl ?? {},
    netDevices: linux.netDevices ?? {},
    rdt: intelRdt && {
      closId: intelRdt.closID === undefined ? undefined : { value: intelRdt.closID },
      schemata: intelRdt.schemata && { value: intelRdt.schemata },
      enableMonitoring:
        intelRdt.enableMonitoring === undefined ? undefined : { value: intelRdt.enableMonitoring },
    },
  };
}

/** What was asked for; absent where nothing was. */
function seccompProfile({ config }: ContainerRecord): LinuxContainerInit["seccompProfile"] {
  const profile = config.linux?.securityContext?.seccomp;
  if (!profile) return undefined;
  const { profileType, localhostRef, ociRef } = profile;
  switch (profileType) {
    case "RuntimeDefault":
      return { profileType: "RUNTIME_DEFAULT", localhostRef };
    case "Unconfined":
      return { profileType: "UNCONFINED", localhostRef };
    case "Localhost":
      return { profileType: "LOCALHOST", localhostRef };
    case "OCI": // NRI has no word for it; a profile of somebody's own it is in any case
      return { profileType: "LOCALHOST", localhostRef: ociRef };
  }
}

const states = {
  created: "CONTAINER_CREATED",
  running: "CONTAINER_RUNNING",
  exited: "CONTAINER_STOPPED",
  unknown: "CONTAINER_UNKNOWN",
} as const satisfies Record<ContainerRecord["state"]["kind"], ContainerState>;

function course({ state }: ContainerRecord): ContainerInit {
  const known = { state: states[state.kind] };
  switch (state.kind) {
    case "created":
      return known;
    case "unknown":
      return { ...known, statusReason: "Unknown", statusMessage: state.reason };
    case "running":
      return { ...known, pid: state.pid, startedAt: state.startedAtNanos };
    case "exited":
      break;
  }
  return {
    ...known,
    startedAt: state.startedAtNanos,
    finishedAt: state.finishedAtNanos,
    exitCode: state.exitCode,
    statusReason: state.reason,
    statusMessage: state.message,
  };
}

/** `sha256:…` of the manifest; "" for an image that has none here. */
function digestOf({ imageRef }: ContainerRecord): string {
  const [, digest = ""] = imageRef.split("@");
  return digest;
}
