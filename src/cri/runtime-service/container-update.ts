// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { Container } from "../../client/ports.ts";
import type { LinuxContainerResources } from "../../gen/cri.gen.ts";
import { parseExactJson } from "../../runtime/oci/encode-spec.ts";
import type { OciLinuxResources, OciSpec } from "../../runtime/oci/spec.ts";
import { specAny } from "../container/oci-container.ts";
import type { Facade, Verb } from "../facade.ts";
import { UndoStack } from "../lifecycle/undo.ts";
import { toOciResources } from "../spec/resources.ts";
import { type ContainerRecord, describeState } from "../store/container-record.ts";

/**
 * UpdateContainerResources: merges what is given into the present limits, zero meaning unchanged, and
 * applies them to the stored spec and to the task. The OOM score of a running process stays.
 */
export function updateContainerResources(facade: Facade): Verb<"UpdateContainerResources"> {
  return async (request, call) => {
    const record = facade.containers.require(request.containerId);
    const { kind } = record.state;
    if (kind !== "created" && kind !== "running") {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot update container "${record.id}": state is ${describeState(record.state)}`,
      );
    }
    if (!request.linux) return {};
    const merged = mergeResources(record.resources, request.linux);
    using op = facade.operations.claim("UpdateContainerResources", record.id);
    await op.run("update", () => apply(facade, record, merged, call.signal));
    return {};
  };
}

async function apply(
  facade: Facade,
  record: ContainerRecord,
  merged: LinuxContainerResources,
  signal: AbortSignal,
): Promise<void> {
  const { ports, live } = facade;
  const { id } = record;
  const resources = toOciResources(merged, ports.hostFacts, ports.config.cri);
  // The record that a later start reads, not the copy that was loaded at create.
  const container = await ports.client.loadContainer(id, { signal });
  await using undo = new UndoStack(ports.log.child({ container: id }));
  const before = container.record.spec;
  if (before) undo.add("spec", (own) => container.update({ spec: before }, ["spec"], own));
  await container.update({ spec: specAny(withResources(container, resources)) }, ["spec"], {
    signal,
  });
  if (record.state.kind === "running") await live.of(id).task?.update(resources, { signal });
  await facade.containers.update(id, (current) => ({ ...current, resources: merged }));
  live.of(id).container = container;
  undo.keep();
}

function withResources(container: Container, resources: OciLinuxResources): OciSpec {
  const spec = parseExactJson(
    Buffer.from(container.record.spec?.value ?? "").toString(),
  ) as OciSpec;
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
