// SPDX-License-Identifier: Apache-2.0
import type { V1Pod } from "@kubernetes/client-node";
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import { fault, isFault } from "../base/errors.ts";
import { isRecord } from "../base/is-record.ts";
import { shortened } from "../base/shortened.ts";
import { sleep } from "../base/timers.ts";
import { problemOf } from "../kube/api/problem.ts";
import { cleanText } from "../kube/clean-text.ts";
import type { Problem } from "../kube/ports.ts";
import { type Ask, isGone } from "./ask.ts";
import { openWaits } from "./waits.ts";

/** As kubectl drain has them. */
export interface DrainFlags {
  readonly force: boolean;
  readonly deleteEmptydirData: boolean;
  readonly drainMs: number;
  /** Between two looks at what is left. */
  readonly lookMs?: number;
}

/** As kubectl does. */
const usualAgainMs = 5_000;
const usualLookMs = 1_000;
const mostTold = 10;
const theirEnd = "the step remove-pods ends what is left";

export interface DrainTools {
  /** Where an eviction is refused for now. */
  readonly againMs?: number;
  readonly ask: Ask;
  readonly flags: DrainFlags;
  readonly say: (line: string) => void;
  /** Whether the kubelet was stopped before and stays so, and nothing ends what is evicted. */
  readonly isStopped?: (call: Cancellable) => Promise<boolean>;
}

type PodFacts = Pick<V1Pod, "metadata" | "spec" | "status">;

/** Those that leave the node: not a DaemonSet's, which would come again at once, and not the kubelet's own. */
export function leavingPods<T extends PodFacts>(pods: readonly T[]): T[] {
  return pods.filter(
    (pod) => !isMirror(pod) && (isOver(pod) || ownerOf(pod)?.kind !== "DaemonSet"),
  );
}

/** Those that belong to the node, whatever its runtime: they come again with it. */
export function stayingPods<T extends PodFacts>(pods: readonly T[]): T[] {
  return pods.filter(
    (pod) => isMirror(pod) || (!isOver(pod) && ownerOf(pod)?.kind === "DaemonSet"),
  );
}

/** Why pods may not be drained unless somebody says so; kubectl asks for the same words. */
export function obstacles(pods: readonly PodFacts[], flags: DrainFlags): string[] {
  const leaving = leavingPods(pods).filter((pod) => !isOver(pod));
  const found: string[] = [];
  const orphans = leaving.filter((pod) => ownerOf(pod) === undefined);
  if (orphans.length > 0 && !flags.force) {
    found.push(`${namesOf(orphans)}: no controller makes them again (--force deletes them)`);
  }
  const keeping = leaving.filter((pod) => pod.spec?.volumes?.some((one) => one.emptyDir));
  if (keeping.length > 0 && !flags.deleteEmptydirData) {
    found.push(
      `${namesOf(keeping)}: their emptyDir volumes go with them (--delete-emptydir-data agrees to that)`,
    );
  }
  return found;
}

/** FAILED_PRECONDITION for pods that may not be drained. */
export function refuseObstacles(node: string, pods: readonly PodFacts[], flags: DrainFlags): void {
  const found = obstacles(pods, flags);
  if (found.length === 0) return;
  throw fault("FAILED_PRECONDITION", `${node} cannot be drained:\n${found.join("\n")}`);
}

/**
 * Evicts what leaves, again and again where a budget does not let it go, until all of it has gone. What comes meanwhile
 * because a cordoned node is all the same to it would come again without end: that is left, and told.
 */
export async function drain(
  { ask, flags, say, againMs = usualAgainMs, isStopped }: DrainTools,
  node: string,
  { signal }: Cancellable,
): Promise<void> {
  using limit = deadline(flags.drainMs, "the drain", signal);
  const notBefore = new Map<string, number>();
  const newcomers = openNewcomers(say);
  let leaving: readonly V1Pod[] = [];
  let reason = "";
  const waits = openWaits(say);
  try {
    for (;;) {
      const all = leavingPods(await ask("the node's pods", (api) => api.podsOf(node), limit));
      leaving = newcomers.without(all);
      if (leaving.length === 0) return;
      // Also on the way back and after a long pause: those that come meanwhile were never looked at. What goes already needs
      // nobody's word any more.
      const staying = leaving.filter(({ metadata }) => metadata?.deletionTimestamp === undefined);
      refuseObstacles(node, staying, flags);
      if ((await isStopped?.(limit)) === true) {
        const rest = `what is left of ${leaving.length} pods goes with remove-pods`;
        return say(`left: the kubelet is down, and ends no pod that is evicted: ${rest}`);
      }
      for (const pod of leaving) {
        if (pod.metadata?.deletionTimestamp !== undefined) {
          waits.told(nameOf(pod), "it is being deleted, and has not ended yet", true);
          continue;
        }
        const uid = pod.metadata?.uid ?? "";
        if ((notBefore.get(uid) ?? 0) > performance.now()) continue;
        const problem = await evict(ask, pod, limit);
        if (problem === undefined) {
          say(`evicted ${nameOf(pod)}`);
          continue;
        }
        reason = problem.message;
        waits.told(nameOf(pod), shortened(reason, 300));
        notBefore.set(uid, performance.now() + (problem.retryAfterMs ?? againMs));
      }
      await sleep(flags.lookMs ?? usualLookMs, limit);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!limit.signal.aborted) throw error;
    const why = reason === "" ? "" : ` (${shortened(reason, 300)})`;
    throw fault(
      "DEADLINE_EXCEEDED",
      `after ${flags.drainMs / 1000} s there are still pods on ${node}: ${namesOf(leaving)}${why}`,
      { cause: error },
    );
  } finally {
    newcomers.tellRest();
  }
}

/** Tells those that were there at the first look from those that their controllers have made since. */
function openNewcomers(say: (line: string) => void) {
  let first: ReadonlySet<string> | undefined;
  const told = new Set<string>();
  let untold = 0;
  return {
    /** How many more there are than those that were named, at the last look. */
    tellRest: (): void => {
      if (untold > 0) say(`left ${untold} more that tolerate a cordoned node: ${theirEnd}`);
    },
    without: (pods: readonly V1Pod[]): readonly V1Pod[] => {
      untold = 0;
      first ??= new Set(pods.map(({ metadata }) => metadata?.uid ?? ""));
      const known = first;
      return pods.filter((pod) => {
        const uid = pod.metadata?.uid ?? "";
        const controller = pod.metadata?.ownerReferences?.find((one) => one.controller)?.uid;
        if (known.has(uid) || controller === undefined || !toleratesCordon(pod)) return true;
        if (!told.has(controller) && told.size < mostTold) {
          told.add(controller);
          const why = "it tolerates a cordoned node, and would be made again here without end";
          say(`left ${nameOf(pod)}: ${why}; ${theirEnd}`);
        } else if (!told.has(controller)) untold += 1;
        return false;
      });
    },
  };
}

/** The scheduler puts it on a cordoned node as on any other. */
function toleratesCordon({ spec }: PodFacts): boolean {
  return (spec?.tolerations ?? []).some(({ key = "", operator, value = "", effect = "" }) => {
    const isAny = key === "" && operator === "Exists";
    const isCordon =
      key === "node.kubernetes.io/unschedulable" && (operator === "Exists" || value === "");
    return (isAny || isCordon) && (effect === "" || effect === "NoSchedule");
  });
}

/** Why it was not evicted for now. One that is gone meanwhile is evicted. */
async function evict(ask: Ask, pod: V1Pod, call: Cancellable): Promise<Problem | undefined> {
  const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
  try {
    const passed = ["throttled", "gone"] as const;
    await ask("an eviction", (api) => api.evict({ namespace, name, uid }), call, passed);
    return undefined;
  } catch (error) {
    if (isGone(error)) return undefined;
    const problem = problemOf(error);
    if (isFault(error) || problem.kind !== "throttled") throw error;
    const budget = budgetIn(error);
    return budget === undefined
      ? problem
      : { ...problem, message: `${problem.message} ${cleanText(budget, 300)}` };
  }
}

/** Which budget holds a pod: the API server's message does not name it, but one of its causes. */
function budgetIn(error: unknown): string | undefined {
  let body: unknown = isRecord(error) || error instanceof Error ? Reflect.get(error, "body") : "";
  try {
    if (typeof body === "string") body = JSON.parse(body);
  } catch {
    return undefined;
  }
  const details = isRecord(body) ? body["details"] : undefined;
  const causes = isRecord(details) ? details["causes"] : undefined;
  const found: unknown = Array.isArray(causes)
    ? causes.find((one) => isRecord(one) && one["reason"] === "DisruptionBudget")
    : undefined;
  const message = isRecord(found) ? found["message"] : undefined;
  return typeof message === "string" ? message : undefined;
}

/** As kubectl names a pod that may be in any namespace. */
export function nameOf({ metadata }: PodFacts): string {
  return `${metadata?.namespace}/${metadata?.name}`;
}

function isMirror({ metadata }: PodFacts): boolean {
  return metadata?.annotations?.["kubernetes.io/config.mirror"] !== undefined;
}

function isOver({ status }: PodFacts): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}

function ownerOf({ metadata }: PodFacts): { readonly kind: string } | undefined {
  return metadata?.ownerReferences?.find((one) => one.controller === true);
}

function namesOf(pods: readonly PodFacts[]): string {
  const names = pods.map(nameOf);
  const rest = names.length - mostTold;
  return names.slice(0, mostTold).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
