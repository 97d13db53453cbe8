// SPDX-License-Identifier: Apache-2.0
import { fault, isFault } from "../../base/errors.ts";
import { kindLabel } from "../../client/kind-label.ts";
import type { Container, PodSandbox } from "../../gen/cri.gen.ts";
import type { Session } from "../berth/call-options.ts";
import { usageFault } from "../usage-fault.ts";

const cri = "runtime.v1.RuntimeService";

/**
 * The container that is meant: by its id, by the start of its id, or by its name when only one running container has
 * it. NOT_FOUND; INVALID_ARGUMENT when several fit.
 */
export async function findContainer(session: Session, reference: string): Promise<Container> {
  assertNamed("container", reference);
  const { containers } = await session.promptly((call) =>
    session.client(cri).ListContainers({}, call),
  );
  const running = containers.filter(({ state }) => state === "CONTAINER_RUNNING");
  const named = ({ metadata }: Container): boolean => metadata?.name === reference;
  const sets = [
    containers.filter(({ id }) => id === reference),
    containers.filter(({ id }) => id.startsWith(reference)),
    running.filter(named),
    containers.filter(named),
  ];
  if (sets.every((set) => set.length === 0) && (await isOfNoPod(session, reference))) {
    throw fault(
      "NOT_FOUND",
      `container "${reference}" is no pod's: see berth task exec, berth task attach`,
    );
  }
  return only(`container "${reference}"`, sets);
}

/** Whether `berth run`, or another client of containerd's services, has made it. */
async function isOfNoPod(session: Session, id: string): Promise<boolean> {
  try {
    const { record } = await session.promptly((call) =>
      session.containers().loadContainer(id, call),
    );
    return !(kindLabel in record.labels);
  } catch (error) {
    if (!isFault(error, "NOT_FOUND", "INVALID_ARGUMENT")) throw error;
    return false;
  }
}

/** The pod that is meant: by id or its start, by `namespace/name`, or by its name. As findContainer. */
export async function findPod(session: Session, reference: string): Promise<PodSandbox> {
  assertNamed("pod", reference);
  const { items } = await session.promptly((call) => session.client(cri).ListPodSandbox({}, call));
  const ready = items.filter(({ state }) => state === "SANDBOX_READY");
  const named = ({ metadata }: PodSandbox): boolean =>
    metadata?.name === reference || `${metadata?.namespace}/${metadata?.name}` === reference;
  return only(`pod "${reference}"`, [
    items.filter(({ id }) => id === reference),
    items.filter(({ id }) => id.startsWith(reference)),
    ready.filter(named),
    items.filter(named),
  ]);
}

/** "" is the start of every id: an empty variable in a script must not stand for the only container there is. */
function assertNamed(kind: string, reference: string): void {
  if (reference === "") throw usageFault(`the ${kind}'s name is empty`);
}

/** The only member of the first set that has any. */
function only<T>(what: string, sets: readonly (readonly T[])[]): T {
  const found = sets.find((set) => set.length > 0) ?? [];
  const [first, second] = found;
  if (first === undefined) throw fault("NOT_FOUND", `${what} not found`);
  if (second === undefined) return first;
  throw fault("INVALID_ARGUMENT", `${what} is ambiguous: it fits ${found.length}; give its id`);
}
