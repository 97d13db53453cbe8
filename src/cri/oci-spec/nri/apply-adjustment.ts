// SPDX-License-Identifier: Apache-2.0
import { mountsHolding } from "../../../base/os/mount-table.ts";
import { askedChanges, changedRecord } from "../../../nri/merge/keyed-changes.ts";
import type { ContainerAdjustment, Hooks } from "../../../nri/messages.ts";
import { ociInteger } from "../../../oci/encode-spec.ts";
import { type OciHook, type OciSpec, ociHookStages } from "../../../oci/spec.ts";
import { applyCdiDevices } from "../cdi/cdi-devices.ts";
import { Environment } from "../env.ts";
import type { HostFacts, RuntimeFeatures } from "../ports.ts";
import { adjustLinux } from "./adjust-linux.ts";
import { adjustMounts, type ReadMounts } from "./adjust-mounts.ts";

export interface AdjustTools {
  readonly host: HostFacts;
  readonly features: RuntimeFeatures;
  /** What a class of block I/O stands for. */
  readonly blockio: (name: string) => Promise<OciSpec["linux"]["resources"]["blockIO"]>;
  /** Of another host; only for tests. */
  readonly readMounts?: ReadMounts;
  readonly cdiFolders?: readonly string[];
}

/**
 * A container's spec with what its plugins want, in NRI's order: CDI devices come before the plugins' own devices and
 * mounts, so that these win. A key with "-" before it takes away. The given spec stays as it is.
 */
export async function applyAdjustment(
  before: OciSpec,
  adjust: ContainerAdjustment,
  tools: AdjustTools,
): Promise<OciSpec> {
  const spec = structuredClone(before);
  const annotations = askedChanges(Object.entries(adjust.annotations));
  spec.annotations = changedRecord(spec.annotations ?? {}, annotations);
  spec.process.env = changedEnv(spec.process.env, adjust.env);
  const [first, ...others] = adjust.args;
  if (first !== undefined) spec.process.args = first === "" ? others : [...adjust.args];
  addHooks(spec, adjust.hooks);
  await applyCdiDevices(
    spec,
    adjust.CDIDevices.map(({ name }) => name),
    tools.features,
    tools.cdiFolders,
  );
  if (adjust.linux) await adjustLinux(spec, adjust.linux, tools);
  await adjustMounts(spec, adjust.mounts, tools.readMounts ?? mountsHolding);
  changeRlimits(spec, adjust);
  return spec;
}

function changedEnv(env: readonly string[], changes: ContainerAdjustment["env"]): string[] {
  const { removals, sets } = askedChanges(changes.map(({ key, value }) => [key, value]));
  const changed = new Environment(
    env.filter((entry) => !removals.has(entry.split("=", 1)[0] ?? "")),
  );
  for (const [key, value] of sets) changed.set(key, value);
  return changed.toArray();
}

function addHooks(spec: OciSpec, hooks: Hooks | null): void {
  if (!hooks) return;
  for (const stage of ociHookStages) {
    const added = hooks[stage].map(
      ({ timeout, ...hook }): OciHook => ({
        ...hook,
        ...(timeout && timeout.value > 0n && { timeout: Number(timeout.value) }),
      }),
    );
    if (added.length === 0) continue;
    spec.hooks = { ...spec.hooks, [stage]: [...(spec.hooks?.[stage] ?? []), ...added] };
  }
}

/** One of a kind replaces that which was: the runtime would refuse two. */
function changeRlimits({ process }: OciSpec, { rlimits }: ContainerAdjustment): void {
  if (rlimits.length === 0) return;
  const byType = new Map((process.rlimits ?? []).map((limit) => [limit.type, limit]));
  for (const { type, hard, soft } of rlimits) {
    byType.set(type, { type, hard: ociInteger(hard), soft: ociInteger(soft) });
  }
  process.rlimits = [...byType.values()];
}
