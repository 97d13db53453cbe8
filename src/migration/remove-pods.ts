// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { isFault, toFault } from "../base/errors.ts";
import { mapAtOnce } from "../base/map-at-once.ts";
import { sleep } from "../base/timers.ts";
import { Unconnected } from "../rpc/http2/connection.ts";
import { connectLight } from "../rpc/light/light-client.ts";
import type { ServiceClient } from "../rpc/service.ts";

const cri = "runtime.v1.RuntimeService";
type Runtime = ServiceClient<typeof cri>;

/** What became of a runtime's pods. */
export interface Removal {
  readonly removed: number;
  /** Why each of the others could not be removed. */
  readonly left: readonly string[];
}

export interface RemovalTimes {
  readonly answerMs: number;
  /** A pod's, once its containers have ended. */
  readonly podMs: number;
  /** Between two attempts. */
  readonly againMs: number;
}

const usualTimes: RemovalTimes = { answerMs: 10_000, podMs: 120_000, againMs: 2_000 };
const podsAtOnce = 16;
const containersAtOnce = 8;
const attempts = 3;
/** As a kubelet writes it down; whoever makes pods may ask for any time. */
const graceKey = "io.kubernetes.pod.terminationGracePeriod";
const usualGraceS = 30;
const mostGraceS = 120;
/** What a runtime needs besides the grace period. */
const stopMs = 30_000;

/**
 * Stops and removes all pods of a runtime whose kubelet has ended, as that would: first those with a network of their own,
 * as what ends it may be a pod of the host's. undefined when nobody serves there, or does not answer.
 */
export async function removePods(
  socket: string,
  call: Cancellable,
  times = usualTimes,
): Promise<Removal | undefined> {
  using connection = connectLight(socket);
  const runtime = connection.client(cri);
  const ids = await podIds(runtime, call, times);
  if (ids === undefined) return undefined;
  const isHosts = await mapAtOnce(ids, podsAtOnce, (id) => hasHostNetwork(runtime, id, call));
  const left: string[] = [];
  for (const group of [false, true]) {
    const pods = ids.filter((_, at) => isHosts[at] === group);
    left.push(...(await removeAll(runtime, pods, call, times)));
  }
  return { removed: ids.length - left.length, left };
}

/** How many containers run there; none where nobody answers. */
export async function runningContainers(socket: string, call: Cancellable): Promise<number> {
  using connection = connectLight(socket);
  using limit = deadline(usualTimes.answerMs, "the list of containers", call.signal);
  try {
    return (await runningOf(connection.client(cri), {}, limit)).length;
  } catch {
    call.signal.throwIfAborted();
    return 0;
  }
}

async function podIds(
  runtime: Runtime,
  { signal }: Cancellable,
  { answerMs }: RemovalTimes,
): Promise<readonly string[] | undefined> {
  using limit = deadline(answerMs, "the list of pods", signal);
  try {
    return (await runtime.ListPodSandbox({}, limit)).items.map(({ id }) => id);
  } catch (error) {
    signal.throwIfAborted();
    // One that hangs stops no pod either.
    if (error instanceof Unconnected || isFault(error, "DEADLINE_EXCEEDED")) return undefined;
    throw error;
  }
}

async function hasHostNetwork(
  runtime: Runtime,
  podSandboxId: string,
  { signal }: Cancellable,
): Promise<boolean> {
  using limit = deadline(usualTimes.answerMs, "a pod's state", signal);
  try {
    const { status } = await runtime.PodSandboxStatus({ podSandboxId }, limit);
    return status?.linux?.namespaces?.options?.network === "NODE";
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

/** Why the pods that are left could not be removed. One that fails is tried again after the others. */
async function removeAll(
  runtime: Runtime,
  ids: readonly string[],
  call: Cancellable,
  times: RemovalTimes,
): Promise<readonly string[]> {
  let left = ids;
  for (let attempt = 1; ; attempt += 1) {
    const failures = await mapAtOnce(left, podsAtOnce, async (id) => {
      try {
        await removePod(runtime, id, call, times);
        return undefined;
      } catch (error) {
        call.signal.throwIfAborted();
        const { code, message } = toFault(error);
        return { isLate: code === "DEADLINE_EXCEEDED", why: `${id}: ${message}` };
      }
    });
    left = left.filter((_, at) => failures[at] !== undefined);
    const isHung = failures.every((one) => one?.isLate === true);
    if (left.length === 0 || isHung || attempt === attempts) {
      return failures.flatMap((one) => one?.why ?? []);
    }
    await sleep(times.againMs, call);
  }
}

async function removePod(
  runtime: Runtime,
  podSandboxId: string,
  call: Cancellable,
  { answerMs, podMs }: RemovalTimes,
): Promise<void> {
  {
    using limit = deadline(answerMs, "its containers", call.signal);
    const running = await runningOf(runtime, { podSandboxId }, limit);
    await mapAtOnce(running, containersAtOnce, (one) => stop(runtime, one, call));
  }
  using limit = deadline(podMs, `removing pod ${podSandboxId}`, call.signal);
  await runtime.StopPodSandbox({ podSandboxId }, limit);
  await runtime.RemovePodSandbox({ podSandboxId }, limit);
}

interface Running {
  readonly id: string;
  readonly annotations: Readonly<Record<string, string>>;
}

async function runningOf(
  runtime: Runtime,
  of: { readonly podSandboxId?: string },
  call: Cancellable,
): Promise<readonly Running[]> {
  const filter = { ...of, state: { state: "CONTAINER_RUNNING" as const } };
  return (await runtime.ListContainers({ filter }, call)).containers;
}

/** With its grace period: a pod's own stop kills at once. It does so, too, with one that this could not stop. */
async function stop(
  runtime: Runtime,
  { id, annotations }: Running,
  { signal }: Cancellable,
): Promise<void> {
  const given = annotations[graceKey] ?? "";
  const graceS = /^\d{1,9}$/.test(given) ? Math.min(Number(given), mostGraceS) : usualGraceS;
  using limit = deadline(graceS * 1000 + stopMs, `stopping container ${id}`, signal);
  try {
    await runtime.StopContainer({ containerId: id, timeout: BigInt(graceS) }, limit);
  } catch {
    signal.throwIfAborted();
  }
}
