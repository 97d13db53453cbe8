// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { Container } from "../../client/ports.ts";
import type { LinuxContainerResources } from "../../gen/cri.gen.ts";
import { parseExactJson } from "../../oci/encode-spec.ts";
import type { OciLinuxResources, OciSpec } from "../../oci/spec.ts";
import { specAny } from "../../oci/spec-any.ts";
import type { Operation } from "../lifecycle/operation.ts";
import { toOciResources } from "../oci-spec/resources.ts";
import type { CriParts } from "../parts.ts";
import { type ContainerRecord, describeState } from "../store/container-record.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<CriParts, "client" | "config" | "containers" | "hostFacts" | "liveContainers"> &
  Pick<CriParts, "memoryUsage" | "operations">;

const rpc = "UpdateContainerResources";
const updateMs = 120_000;

/**
 * UpdateContainerResources: merges what is given into the present limits, zero meaning unchanged, and
 * applies them to the stored spec and to the task; all of it or, on failure, nothing. The OOM score of a
 * running process stays. A container's updates and its start come one after the other: each begins with what
 * the one before has set. INVALID_ARGUMENT for a negative limit, FAILED_PRECONDITION for a memory limit
 * below what is in use and cannot be dropped, as page cache can: the kernel would refuse it or, on a
 * unified host, kill for it.
 */
export function updateContainerResources(parts: Needs): Verb<"UpdateContainerResources"> {
  return async (request, call) => {
    const { operations } = parts;
    const { id } = updatable(parts, request.containerId);
    const { linux } = request;
    if (!linux) return {};
    refuseNegative(linux);
    do {
      await operations.ended("StartContainer", id, call);
      await operations.ended(rpc, id, call);
    } while (operations.isRunning("StartContainer", id) || operations.isRunning(rpc, id));
    // Nobody joins it, for then none runs; by the join others can wait for its end.
    const joins = true;
    const limit = { ms: updateMs, what: `the update of container "${id}"` };
    await operations.perform(
      { rpc, object: id, joins, limit, facts: { container: id } },
      call,
      async (op) => {
        const record = updatable(parts, id);
        await refuseBelowUsage(parts, record, linux.memoryLimitInBytes);
        await op.run("update", () => apply(parts, op, record, linux));
      },
    );
    return {};
  };
}

function updatable({ containers }: Pick<Needs, "containers">, name: string): ContainerRecord {
  const record = containers.require(name);
  const { id, state } = record;
  if (state.kind === "created" || state.kind === "running") return record;
  throw fault(
    "FAILED_PRECONDITION",
    `cannot update container "${id}": state is ${describeState(state)}`,
  );
}

async function apply(
  parts: Needs,
  op: Operation,
  record: ContainerRecord,
  asked: LinuxContainerResources,
): Promise<void> {
  const { id } = record;
  // Of a process that runs nobody sets it, and of one to come the spec has it already.
  const merged = mergeResources(record.resources, { ...asked, oomScoreAdj: 0n });
  const live = parts.liveContainers.of(id);
  const resources = toOciResources(merged, parts.hostFacts, parts.config.cri);
  // The record that a later start reads, not the copy that was loaded at create.
  const container = await parts.client.loadContainer(id, op);
  const before = container.record.spec;
  if (before) op.undo("spec", (own) => container.update({ spec: before }, ["spec"], own));
  await container.update({ spec: specAny(withResources(container, resources)) }, ["spec"], op);
  const { task } = live;
  if (record.state.kind === "running" && task) {
    // A part of the limits may have been set before one of them failed.
    const previous = before && resourcesOf(before.value);
    if (previous) op.undo("limits", (own) => task.update(previous, own));
    await task.update(resources, op);
  }
  await parts.containers.update(id, (current) => ({ ...current, resources: merged }));
  live.keep(container);
}

/** Quota is negative for "none"; nothing else may be. */
function refuseNegative({
  memoryLimitInBytes,
  cpuShares,
  cpuPeriod,
}: LinuxContainerResources): void {
  const fields = {
    memory_limit_in_bytes: memoryLimitInBytes,
    cpu_shares: cpuShares,
    cpu_period: cpuPeriod,
  };
  for (const [field, value] of Object.entries(fields)) {
    if (value < 0n) throw fault("INVALID_ARGUMENT", `linux.${field} ${value} is negative`);
  }
}

async function refuseBelowUsage(
  parts: Pick<Needs, "memoryUsage">,
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
  return { ...spec, linux: { ...linux, resources: { ...linux.resources, ...resources } } };
}

/** Fields that are set win; those left at their zero keep what was. Exported for tests. */
export function mergeResources(
  before: LinuxContainerResources | null,
  change: LinuxContainerResources,
): LinuxContainerResources {
  if (!before) return change;
  const given = Object.entries(change).filter(([, value]) => isGiven(value));
  return { ...before, ...Object.fromEntries(given) };
}

function isGiven(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return value !== 0n && value !== "";
}
