// SPDX-License-Identifier: Apache-2.0
import { cleanupDeadline } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { withReplaced } from "../../base/with-replaced.ts";
import type { Container } from "../../client/ports.ts";
import type { LinuxContainerResources } from "../../gen/cri.gen.ts";
import { parseExactJson } from "../../oci/encode-spec.ts";
import type { OciLinuxResources, OciSpec } from "../../oci/spec.ts";
import { specAny } from "../../oci/spec-any.ts";
import type { Operation } from "../lifecycle/operation.ts";
import { toOciResources } from "../oci-spec/resources.ts";
import type { CriParts } from "../parts.ts";
import { type ContainerRecord, describeState } from "../store/container-record.ts";

export type ChangeLimitsNeeds = Pick<
  CriParts,
  | "client"
  | "config"
  | "containers"
  | "hostFacts"
  | "liveContainers"
  | "limitTurns"
  | "log"
  | "memoryUsage"
>;

/** Limits to change: of each field its zero leaves what holds. */
export interface LimitChange {
  readonly asked: LinuxContainerResources;
  /** What CRI has no word for. */
  readonly further?: OciLinuxResources;
}

/** The container, when its limits can be changed; FAILED_PRECONDITION otherwise. */
export function updatable(
  { containers }: Pick<CriParts, "containers">,
  name: string,
): ContainerRecord {
  const record = containers.require(name);
  const { id, state } = record;
  if (state.kind === "created" || state.kind === "running") return record;
  throw fault(
    "FAILED_PRECONDITION",
    `cannot update container "${id}": state is ${describeState(state)}`,
  );
}

/**
 * Merges what is given into the present limits and applies them to the stored spec and to the task; all of it or, on
 * failure, nothing. FAILED_PRECONDITION for a memory limit below what is in use and cannot be dropped, as page cache can:
 * the kernel would refuse it or, on a unified host, kill for it.
 */
export async function changeLimits(
  parts: ChangeLimitsNeeds,
  op: Operation,
  id: string,
  change: LimitChange,
): Promise<void> {
  using _turn = await parts.limitTurns.change(id, op);
  const record = updatable(parts, id);
  await refuseBelowUsage(parts, record, change.asked.memoryLimitInBytes);
  await op.run("update", () => apply(parts, op, record, change));
}

async function apply(
  parts: ChangeLimitsNeeds,
  op: Operation,
  record: ContainerRecord,
  { asked, further = {} }: LimitChange,
): Promise<void> {
  const { id } = record;
  // Of a process that runs nobody sets it, and of one to come the spec has it already.
  const merged = mergeResources(record.resources, { ...asked, oomScoreAdj: 0n });
  const live = parts.liveContainers.of(id);
  const resources = { ...further, ...toOciResources(merged, parts.hostFacts, parts.config.cri) };
  // The record that a later start reads, not the copy that was loaded at create.
  const container = await parts.client.loadContainer(id, op);
  const before = container.record.spec;
  const task = record.state.kind === "running" ? live.task : live.madeTask;
  let reached = false;
  try {
    await container.update({ spec: specAny(withResources(container, resources)) }, ["spec"], op);
    reached = true;
    await task?.update(resources, op);
    await parts.containers.update(id, (current) => ({ ...current, resources: merged }));
  } catch (error) {
    // Here and not as steps of the operation: the next in turn shall begin with what holds.
    const own = { signal: cleanupDeadline() };
    const previous = before && resourcesOf(before.value);
    // A part of the limits may have been set before one of them failed.
    if (reached && previous) await putBack(parts, id, async () => task?.update(previous, own));
    if (before) await putBack(parts, id, () => container.update({ spec: before }, ["spec"], own));
    throw error;
  }
  live.keep(container);
}

async function putBack(
  { log }: Pick<CriParts, "log">,
  id: string,
  step: () => Promise<unknown>,
): Promise<void> {
  try {
    await step();
  } catch (error) {
    log.error({ err: error, container: id }, "limits could not be put back");
  }
}

async function refuseBelowUsage(
  parts: Pick<CriParts, "memoryUsage">,
  { id, state, cgroupsPath }: ContainerRecord,
  limit: bigint,
): Promise<void> {
  if (limit === 0n || state.kind !== "running") return;
  const used = await parts.memoryUsage(cgroupsPath);
  if (used === undefined || limit >= used) return;
  throw fault(
    "FAILED_PRECONDITION",
    `cannot limit the memory of container "${id}" to ${limit} bytes: it uses ${used} beside page cache`,
  );
}

function resourcesOf(spec: Uint8Array): OciLinuxResources | undefined {
  return specFrom(spec).linux.resources;
}

function specFrom(bytes: Uint8Array | undefined): OciSpec {
  return parseExactJson(Buffer.from(bytes ?? "").toString()) as OciSpec;
}

function withResources(container: Container, resources: OciLinuxResources): OciSpec {
  const spec = specFrom(container.record.spec?.value);
  const { linux } = spec;
  return { ...spec, linux: { ...linux, resources: mergeLimits(linux.resources ?? {}, resources) } };
}

/** Of memory and CPU the change has all that CRI knows; what plugins and base specs have set beside that stays. */
function mergeLimits(before: OciLinuxResources, change: OciLinuxResources): OciLinuxResources {
  const { limit: _limit, swap: _swap, ...memory } = before.memory ?? {};
  const { realtimeRuntime, realtimePeriod } = before.cpu ?? {};
  const cpu = {
    ...(realtimeRuntime !== undefined && { realtimeRuntime }),
    ...(realtimePeriod !== undefined && { realtimePeriod }),
  };
  return {
    ...before,
    ...change,
    ...(change.memory && { memory: { ...memory, ...change.memory } }),
    ...(change.cpu && { cpu: { ...cpu, ...change.cpu } }),
  };
}

/**
 * Fields that are set win; those left at their zero keep what was. Files of cgroup v2 and sizes of huge pages are fields of
 * their own: an update of one leaves the others.
 */
export function mergeResources(
  before: LinuxContainerResources | null,
  change: LinuxContainerResources,
): LinuxContainerResources {
  if (!before) return change;
  const given = Object.entries(change).filter(([, value]) => isGiven(value));
  return {
    ...before,
    ...Object.fromEntries(given),
    unified: { ...before.unified, ...change.unified },
    hugepageLimits: withReplaced(
      before.hugepageLimits,
      change.hugepageLimits,
      ({ pageSize }) => pageSize,
    ),
  };
}

/**
 * What holds of a container whose limits plugins have adjusted. Where a request said how much swap there is, and a plugin
 * says another limit of memory without it, swap follows the memory; -1 of memory is no limit.
 */
export function limitsWithPlugins(
  requested: LinuxContainerResources | null,
  adjusted: LinuxContainerResources,
): LinuxContainerResources {
  const merged = mergeResources(requested, adjusted);
  const { memoryLimitInBytes: limit, memorySwapLimitInBytes: swap } = adjusted;
  if (limit < 0n) return { ...merged, memoryLimitInBytes: 0n, memorySwapLimitInBytes: 0n };
  if (limit === 0n || swap !== 0n || merged.memorySwapLimitInBytes === 0n) return merged;
  return { ...merged, memorySwapLimitInBytes: limit };
}

function isGiven(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return value !== 0n && value !== "";
}
