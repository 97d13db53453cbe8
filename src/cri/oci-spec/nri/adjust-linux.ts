// SPDX-License-Identifier: Apache-2.0
import { unsupported } from "../../../base/invalid-field.ts";
import { askedChanges, changedList, changedRecord } from "../../../nri/merge/keyed-changes.ts";
import type { ContainerAdjustment, LinuxResources } from "../../../nri/messages.ts";
import { ociInteger } from "../../../oci/encode-spec.ts";
import type {
  OciDevice,
  OciLinux,
  OciNamespaceType,
  OciSeccomp,
  OciSpec,
} from "../../../oci/spec.ts";
import { allowRule } from "../devices.ts";
import { clampOomScoreAdj } from "../oom-score.ts";
import { adjustedResources } from "./adjust-resources.ts";
import { adjustScheduling } from "./adjust-scheduling.ts";
import type { AdjustTools } from "./apply-adjustment.ts";

type LinuxAdjustment = NonNullable<ContainerAdjustment["linux"]>;

/** What plugins want of the part of a spec that is Linux's. */
export async function adjustLinux(
  spec: OciSpec,
  adjust: LinuxAdjustment,
  tools: AdjustTools,
): Promise<void> {
  const { process, linux } = spec;
  changeDevices(linux, adjust.devices);
  if (adjust.cgroupsPath !== "") linux.cgroupsPath = adjust.cgroupsPath;
  if (adjust.oomScoreAdj) {
    process.oomScoreAdj = clampOomScoreAdj(adjust.oomScoreAdj.value, tools.host);
  }
  adjustScheduling(spec, adjust, tools.features);
  if (adjust.seccompPolicy) linux.seccomp = toSeccomp(adjust.seccompPolicy);
  changeNamespaces(linux, adjust);
  if (Object.keys(adjust.sysctl).length > 0) {
    linux.sysctl = changedRecord(linux.sysctl ?? {}, askedChanges(Object.entries(adjust.sysctl)));
  }
  if (Object.keys(adjust.netDevices).length > 0) {
    if (!tools.features.netDevices) {
      throw unsupported("adjust.linux.net_devices", "the OCI runtime does not know them");
    }
    const changes = askedChanges(Object.entries(adjust.netDevices));
    linux.netDevices = changedRecord(linux.netDevices ?? {}, changes);
  }
  if (adjust.resources) {
    linux.resources = adjustedResources(linux.resources, adjust.resources, tools.host);
    await changeClasses(linux, adjust.resources, tools);
  }
  changeRdt(linux, adjust, tools.features);
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
      ...(type !== "p" && { major: Number(major), minor: Number(minor) }),
      // Some plugins send all of st_mode.
      ...(fileMode && { fileMode: fileMode.value & 0o7777 }),
      ...(uid && { uid: uid.value }),
      ...(gid && { gid: gid.value }),
    };
    byPath.set(path, device);
    // Pipes have no rule, and to a cgroup an unbuffered device is one of characters.
    if (type !== "p") {
      const kind = type === "u" ? "c" : type;
      rules.push(allowRule({ ...device, type: kind }, type === "b" ? "rwm" : "rw"));
    }
  }
  linux.devices = [...byPath.values()];
  linux.resources.devices = rules;
}

function changeNamespaces(linux: OciLinux, { namespaces }: LinuxAdjustment): void {
  const changes = namespaces.map(({ type, path }) => {
    const namespace = { type: type as OciNamespaceType, ...(path !== "" && { path }) };
    return [type, namespace] as const;
  });
  linux.namespaces = changedList(linux.namespaces, askedChanges(changes), ({ type }) => type);
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

function changeRdt(
  linux: OciLinux,
  { rdt }: LinuxAdjustment,
  { rdtMonitoring, rdtSchemata }: AdjustTools["features"],
): void {
  if (!rdt) return;
  if (rdt.schemata && !rdtSchemata) {
    throw unsupported("adjust.linux.rdt.schemata", "the OCI runtime does not know it");
  }
  if (rdt.enableMonitoring?.value === true && !rdtMonitoring) {
    throw unsupported("adjust.linux.rdt.enable_monitoring", "the OCI runtime does not know it");
  }
  if (rdt.remove) delete linux.intelRdt;
  const set = {
    ...(rdt.closId && { closID: rdt.closId.value }),
    ...(rdt.schemata && { schemata: [...rdt.schemata.value] }),
    ...(rdt.enableMonitoring && { enableMonitoring: rdt.enableMonitoring.value }),
  };
  if (Object.keys(set).length > 0) linux.intelRdt = { ...linux.intelRdt, ...set };
}
