// SPDX-License-Identifier: Apache-2.0
import { withReplaced } from "../../base/with-replaced.ts";
import type {
  Container,
  ContainerAdjustment,
  Hooks,
  LinuxContainer,
  LinuxContainerAdjustment,
} from "../messages.ts";
import { hookStages } from "./check-adjustment.ts";
import type { FieldClaims } from "./field-claims.ts";
import type { FieldName } from "./fields.ts";
import {
  type AskedChanges,
  askedChanges,
  changedList,
  changedRecord,
  type KeyedChanges,
  mergeChanges,
} from "./keyed-changes.ts";
import { claimResources, noResources, withResources } from "./merge-resources.ts";
import { mergeSingleFields } from "./merge-single-fields.ts";
import { type MergedAdjustment, noHooks } from "./merged-adjustment.ts";
import { bare } from "./removal-mark.ts";

/** What is wanted so far, and the container as it would be with that. */
export interface Merging {
  readonly merged: MergedAdjustment;
  readonly container: Container;
}

export interface Claimant {
  readonly plugin: string;
  readonly claims: FieldClaims;
}

/** Both with one plugin's adjustment. What was given is not changed. FAILED_PRECONDITION on a conflict. */
export function mergeAdjustment(
  { merged, container }: Merging,
  adjust: ContainerAdjustment,
  by: Claimant,
): Merging {
  const merge = <T>(all: KeyedChanges<T>, asked: AskedChanges<T>, field: FieldName) =>
    mergeChanges(all, asked, { ...by, field });
  const annotations = askedChanges(Object.entries(adjust.annotations));
  const mounts = askedChanges(adjust.mounts.map((mount) => [mount.destination, mount]));
  const env = askedChanges(adjust.env.map(({ key, value }) => [key, value]));
  const args = argsOf(adjust.args, by);
  const hooks = hasHooks(adjust.hooks);
  if (hooks) by.claims.share(by.plugin, "OciHooks");
  for (const { type } of adjust.rlimits) by.claims.claim(by.plugin, "Rlimits", type);
  for (const { name } of adjust.CDIDevices) by.claims.claim(by.plugin, "CdiDevices", name);
  const next: Merging = {
    merged: {
      ...merged,
      annotations: merge(merged.annotations, annotations, "Annotations"),
      mounts: merge(merged.mounts, mounts, "Mounts"),
      env: merge(merged.env, env, "Env"),
      args: args ?? merged.args,
      hooks: withHooks(merged.hooks, adjust.hooks),
      rlimits: [...merged.rlimits, ...adjust.rlimits],
      cdiDevices: [...merged.cdiDevices, ...adjust.CDIDevices.map(({ name }) => name)],
    },
    container: {
      ...container,
      annotations: changedRecord(container.annotations, annotations),
      mounts: changedList(container.mounts, mounts, ({ destination }) => destination),
      env: changedEnv(container.env, env),
      args: args ?? container.args,
      hooks: hooks ? withHooks(container.hooks ?? noHooks, adjust.hooks) : container.hooks,
      rlimits: withReplaced(container.rlimits, adjust.rlimits, ({ type }) => type),
    },
  };
  return adjust.linux === null ? next : mergeLinux(next, adjust.linux, by);
}

function mergeLinux(
  { merged, container }: Merging,
  adjust: LinuxContainerAdjustment,
  by: Claimant,
): Merging {
  const merge = <T>(all: KeyedChanges<T>, asked: AskedChanges<T>, field: FieldName) =>
    mergeChanges(all, asked, { ...by, field });
  const linux = container.linux ?? noLinux;
  const devices = askedChanges(adjust.devices.map((device) => [device.path, device]));
  const sysctl = askedChanges(Object.entries(adjust.sysctl));
  const netDevices = askedChanges(Object.entries(adjust.netDevices));
  const resources = adjust.resources ?? noResources;
  // A namespace has its owner whether it is set or removed: nobody may undo either.
  const namespaces = new Map(merged.namespaces);
  for (const namespace of adjust.namespaces) {
    const type = bare(namespace.type);
    by.claims.claim(by.plugin, "Namespace", type);
    namespaces.set(type, namespace.type === type ? namespace : null);
  }
  claimResources(by.plugin, resources, by.claims);
  const single = mergeSingleFields(merged.single, adjust, by);
  const { ioPriority, oomScoreAdj, scheduler, seccompPolicy } = adjust;
  return {
    merged: {
      ...merged,
      devices: merge(merged.devices, devices, "Devices"),
      sysctl: merge(merged.sysctl, sysctl, "Sysctl"),
      netDevices: merge(merged.netDevices, netDevices, "LinuxNetDevices"),
      namespaces,
      resources: withResources(merged.resources, resources),
      single,
    },
    container: {
      ...container,
      linux: {
        ...linux,
        devices: changedList(linux.devices, devices, ({ path }) => path),
        sysctl: changedRecord(linux.sysctl, sysctl),
        netDevices: changedRecord(linux.netDevices, netDevices),
        namespaces: changedList(
          linux.namespaces,
          askedChanges(adjust.namespaces.map((namespace) => [namespace.type, namespace])),
          ({ type }) => type,
        ),
        resources: withResources(linux.resources ?? noResources, resources),
        cgroupsPath: adjust.cgroupsPath === "" ? linux.cgroupsPath : adjust.cgroupsPath,
        oomScoreAdj: oomScoreAdj ?? linux.oomScoreAdj,
        ioPriority: ioPriority ?? linux.ioPriority,
        scheduler: scheduler ?? linux.scheduler,
        seccompPolicy: seccompPolicy ?? linux.seccompPolicy,
      },
    },
  };
}

/** The arguments to set; undefined for none. An empty one before them overrules another plugin's. */
function argsOf(args: readonly string[], { plugin, claims }: Claimant): string[] | undefined {
  if (args.length === 0) return undefined;
  const overrules = args[0] === "";
  if (overrules) claims.free(plugin, "Args");
  claims.claim(plugin, "Args");
  return overrules ? args.slice(1) : [...args];
}

function changedEnv(env: readonly string[], asked: AskedChanges<string>): string[] {
  const entries = env.map((entry) => [nameOf(entry), entry] as const);
  const sets = asked.sets.map(([key, value]) => [key, [key, `${key}=${value}`] as const] as const);
  const changed = changedList(entries, { removals: asked.removals, sets }, ([name]) => name);
  return changed.map(([, entry]) => entry);
}

function nameOf(entry: string): string {
  const end = entry.indexOf("=");
  return end < 0 ? entry : entry.slice(0, end);
}

const stages = Object.keys(hookStages) as (keyof Hooks)[];

function hasHooks(hooks: Hooks | null): boolean {
  return hooks !== null && stages.some((stage) => hooks[stage].length > 0);
}

function withHooks(hooks: Hooks, more: Hooks | null): Hooks {
  if (more === null) return hooks;
  const entries = stages.map((stage) => [stage, [...hooks[stage], ...more[stage]]] as const);
  return Object.fromEntries(entries) as unknown as Hooks;
}

const noLinux: LinuxContainer = {
  namespaces: [],
  devices: [],
  resources: null,
  oomScoreAdj: null,
  cgroupsPath: "",
  ioPriority: null,
  seccompProfile: null,
  seccompPolicy: null,
  sysctl: {},
  netDevices: {},
  scheduler: null,
  rdt: null,
};
