// SPDX-License-Identifier: Apache-2.0
import { afterEach } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ClusterClient, describePod, isReady } from "./client.ts";

const mostLines = 16;
const mostCharacters = 220;
/** What tells of a failure must not hang itself. */
const mostMs = 20_000;

/**
 * In a suite: tells how the cluster is when a test has failed. Output of CI is cut, and lines that begin with `failed:` are
 * said again at its end.
 */
export function tellFailures(client: () => ClusterClient | undefined): void {
  afterEach(async (context) => {
    const known = client();
    if (!("passed" in context) || context.passed || known === undefined) return;
    const lines = await Promise.race([
      stateOf(known).catch((error: unknown) => [
        `the cluster's state is not told: ${String(error)}`,
      ]),
      sleep(mostMs, ["the cluster's state is not told in time"], { ref: false }),
    ]);
    for (const line of [context.name, ...lines].slice(0, mostLines))
      console.error(`failed: ${line.replaceAll("\n", " ").slice(0, mostCharacters)}`);
  });
}

/** Nodes, then pods that are not ready, then the last warnings. */
async function stateOf({ core }: ClusterClient): Promise<string[]> {
  const [nodes, pods, events] = await Promise.all([
    core.listNode(),
    core.listPodForAllNamespaces(),
    core.listEventForAllNamespaces(),
  ]);
  const ofNodes = nodes.items.map(({ metadata, spec, status }) => {
    const conditions = status?.conditions?.filter((it) => it.status === "True") ?? [];
    const taints = spec?.taints?.map(({ key }) => key) ?? [];
    return `${metadata?.name}: ${[...conditions.map(({ type }) => type), ...taints].join(" ")}`;
  });
  const unready = pods.items.filter((pod) => !isReady(pod) && pod.status?.phase !== "Succeeded");
  const warnings = events.items
    .filter(({ type }) => type === "Warning")
    .toSorted((a, b) => timeOf(a.lastTimestamp) - timeOf(b.lastTimestamp))
    .slice(-5)
    .map(({ involvedObject, reason, message }) => `${involvedObject.name}: ${reason}: ${message}`);
  return [...ofNodes, ...unready.slice(0, 7).map(describePod), ...warnings];
}

const timeOf = (time: Date | undefined): number => time?.getTime() ?? 0;
