// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import type { Task } from "../../client/ports.ts";
import { parseExactJson } from "../../oci/encode-spec.ts";
import type { OciProcess, OciSpec } from "../../oci/spec.ts";
import type { CriParts } from "../parts.ts";
import { type ContainerRecord, describeState } from "../store/container-record.ts";

export type RunningNeeds = Pick<CriParts, "containers" | "liveContainers">;
export type ProcessNeeds = Pick<CriParts, "client" | "liveContainers">;

/** A container that runs, and its task. */
export interface RunningContainer {
  readonly id: string;
  readonly record: ContainerRecord;
  readonly task: Task;
}

/**
 * NOT_FOUND without such a container; FAILED_PRECONDITION, naming its state, unless it runs. `verb` is
 * what messages say could not be done: "exec in", "attach to".
 */
export function runningContainer(
  { containers, liveContainers }: RunningNeeds,
  idOrPrefix: string,
  verb: string,
): RunningContainer {
  const record = containers.require(idOrPrefix);
  const { id, state } = record;
  if (state.kind !== "running") {
    throw fault(
      "FAILED_PRECONDITION",
      `cannot ${verb} container "${id}": state is ${describeState(state)}, not running`,
    );
  }
  const { task } = liveContainers.of(id);
  if (task) return { id, record, task };
  throw fault("UNAVAILABLE", `cannot ${verb} container "${id}": its task was not recovered`);
}

/** The process of the container's spec: an exec differs from it by its arguments and terminal only. */
export function processOf(parts: ProcessNeeds, id: string, call: Cancellable): Promise<OciProcess> {
  const live = parts.liveContainers.of(id);
  return live.process(async () => {
    const { record } = await live.loaded(() => parts.client.loadContainer(id, call));
    const { value } = record.spec ?? {};
    if (!value) throw fault("INTERNAL", `container "${id}" has no spec`);
    return (parseExactJson(Buffer.from(value).toString()) as OciSpec).process;
  });
}

/**
 * A new exec's id. It begins with the container's, and the exec's FIFOs bear it in their names, so
 * that after a crash the FIFOs tell which execs of which containers nobody waits for any more.
 */
export function newExecId(containerId: string): string {
  return `${containerId}-${randomBytes(5).toString("hex")}`;
}

/** The container whose exec this is; undefined for an id of another making. */
export function containerOfExec(execId: string): string | undefined {
  return /^([0-9a-f]{64})-[0-9a-f]{10}$/.exec(execId)?.[1];
}
