// SPDX-License-Identifier: Apache-2.0
import { unsupported } from "../../../base/invalid-field.ts";
import type { ContainerAdjustment, LinuxResources } from "../../../nri/messages.ts";
import { ociInteger } from "../../../oci/encode-spec.ts";
import type {
  OciDevice,
  OciLinux,
  OciLinuxResources,
  OciNamespaceType,
  OciSeccomp,
  OciSpec,
} from "../../../oci/spec.ts";
import { allowRule } from "../devices.ts";
import { clampOomScoreAdj } from "../oom-score.ts";
import type { AdjustTools } from "./apply-adjustment.ts";
import { changedKeys } from "./changed-keys.ts";

type LinuxAdjustment = NonNullable<ContainerAdjustment["linux"]>;

/** What plugins want of the part of a spec that is Linux's. */
export async function adjustLinux(
  { process, linux }: OciSpec,
  adjust: LinuxAdjustment,
  tools: AdjustTools,
): Promise<void> {
  refuseUnknown(adjust);
  changeDevices(linux, adjust.devices);
  if (adjust.cgroupsPath !== "") linux.cgroupsPath = adjust.cgroupsPath;
  if (adjust.oomScoreAdj) {
    process.oomScoreAdj = clampOomScoreAdj(adjust.oomScoreAdj.value, tools.host);
  }
  if (adjust.seccompPolicy) linux.seccomp = toSeccomp(adjust.seccompPolicy);
  changeNamespaces(linux, adjust);
  if (Object.keys(adjust.sysctl).length > 0) {
    linux.sysctl = changedKeys(linux.sysctl, adjust.sysctl);
  }
  if (Object.keys(adjust.netDevices).length > 0) {
    if (!tools.features.netDevices) {
      throw unsupported("adjust.linux.net_devices", "the OCI runtime does not know them");
    }
    linux.netDevices = changedKeys(linux.netDevices, adjust.netDevices);
  }
  if (adjust.resources) {
    linux.resources = changedResources(linux.resources, adjust.resources);
    await changeClasses(linux, adjust.resources, tools);
  }
  changeRdt(linux, adjust);
}

/** What no spec of ours carries must not be left out without a word. */
function refuseUnknown({ ioPriority, scheduler, memoryPolicy }: LinuxAdjustment): void {
  const unknown = {
    io_priority: ioPriority,
    scheduler,
    memory_policy: memoryPolicy,
  };
  for (const [field, value] of Object.entries(unknown)) {
    if (value) throw unsupported(`adjust.linux.${field}`, "is not supported yet");
  }
}

function changeDevices(linux: OciLinux, devices: LinuxAdjustment["devices"]): void {
  if (devices.length === 0) return;
  const byPath = new Map((linux.devices ?? []).map((device) => [device.path, device]));
  const rules = [...(linux.resources.devices ?? [])];
  for (const { path, type, major, minor, fileMode, uid, gid } of devices) {
    if (path.startsWith("-")) {
      byPath.delete(path.slice(1));
      continue;
    }
    const device: OciDevice = {
      path,
      type,
      major: Number(major),
      minor: Number(minor),
      ...(fileMode && { fileMode: fileMode.value }),
      ...(uid && { uid: uid.value }),
      ...(gid && { gid: gid.value }),
    };
    byPath.set(path, device);
    rules.push(allowRule(device, type === "b" ? "rwm" : "rw"));
  }
  linux.devices = [...byPath.values()];
  linux.resources.devices = rules;
}

function changeNamespaces(linux: OciLinux, { namespaces }: LinuxAdjustment): void {
  for (const { type, path } of namespaces) {
    const name = type.replace(/^-/, "");
    linux.namespaces = linux.namespaces.filter((namespace) => namespace.type !== name);
    if (type.startsWith("-")) continue;
    linux.namespaces.push({ type: name as OciNamespaceType, ...(path !== "" && { path }) });
  }
}

function toSeccomp(policy: NonNullable<LinuxAdjustment["seccompPolicy"]>): OciSeccomp {
  const { defaultErrno, listenerPath, listenerMetadata } = policy;
  return {
    defaultAction: policy.defaultAction,
    ...(defaultErrno && { defaultErrnoRet: defaultErrno.value }),
    architectures: [...policy.architectures],
    ...(policy.flags.length > 0 && { flags: [...policy.flags] }),
    ...(listenerPath !== "" && { listenerPath }),
    ...(listenerMetadata !== "" && { listenerMetadata }),
    syscalls: policy.syscalls.map(({ names, action, errnoRet, args }) => ({
      names: [...names],
      action,
      ...(errnoRet && { errnoRet: errnoRet.value }),
      ...(args.length > 0 && {
        args: args.map(({ index, value, valueTwo, op }) => ({
          index,
          value: ociInteger(value),
          valueTwo: ociInteger(valueTwo),
          op,
        })),
      }),
    })),
  };
}

function changedResources(before: OciLinuxResources, wanted: LinuxResources): OciLinuxResources {
  const { memory, cpu, hugepageLimits, unified, devices, pids } = wanted;
  const after = { ...before };
  if (cpu) {
    after.cpu = {
      ...before.cpu,
      ...(cpu.shares && { shares: ociInteger(cpu.shares.value) }),
      ...(cpu.quota && { quota: ociInteger(cpu.quota.value) }),
      ...(cpu.period && { period: ociInteger(cpu.period.value) }),
      ...(cpu.cpus !== "" && { cpus: cpu.cpus }),
      ...(cpu.mems !== "" && { mems: cpu.mems }),
    };
  }
  const limit = memory?.limit?.value ?? 0n;
  if (limit !== 0n) {
    // Swap is not for who has less memory than it asked for.
    after.memory = { ...before.memory, limit: ociInteger(limit), swap: ociInteger(limit) };
  }
  if (memory?.reservation) {
    after.memory = { ...after.memory, reservation: ociInteger(memory.reservation.value) };
  }
  if (hugepageLimits.length > 0) {
    const bySize = new Map((before.hugepageLimits ?? []).map((one) => [one.pageSize, one]));
    for (const { pageSize, limit: bytes } of hugepageLimits) {
      bySize.set(pageSize, { pageSize, limit: ociInteger(bytes) });
    }
    after.hugepageLimits = [...bySize.values()];
  }
  if (Object.keys(unified).length > 0) after.unified = { ...before.unified, ...unified };
  if (pids) after.pids = { limit: ociInteger(pids.limit) };
  if (devices.length > 0) {
    const added = devices.map(({ allow, type, major, minor, access }) => ({
      allow,
      ...(type !== "" && { type }),
      ...(major && { major: Number(major.value) }),
      ...(minor && { minor: Number(minor.value) }),
      ...(access !== "" && { access }),
    }));
    after.devices = [...(before.devices ?? []), ...added];
  }
  return after;
}

async function changeClasses(
  linux: OciLinux,
  { blockioClass, rdtClass }: LinuxResources,
  { blockio }: AdjustTools,
): Promise<void> {
  if (blockioClass) {
    const shares = blockioClass.value === "" ? undefined : await blockio(blockioClass.value);
    if (shares) linux.resources.blockIO = shares;
    else delete linux.resources.blockIO;
  }
  if (rdtClass?.value === "") delete linux.intelRdt;
  else if (rdtClass) linux.intelRdt = { ...linux.intelRdt, closID: rdtClass.value };
}

function changeRdt(linux: OciLinux, { rdt }: LinuxAdjustment): void {
  if (!rdt) return;
  if (rdt.remove) delete linux.intelRdt;
  const set = {
    ...(rdt.closId && { closID: rdt.closId.value }),
    ...(rdt.schemata && { schemata: [...rdt.schemata.value] }),
    ...(rdt.enableMonitoring && { enableMonitoring: rdt.enableMonitoring.value }),
  };
  if (Object.keys(set).length > 0) linux.intelRdt = { ...linux.intelRdt, ...set };
}
