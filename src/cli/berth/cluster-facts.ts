// SPDX-License-Identifier: Apache-2.0
import type { KubeState } from "../../kube/kube-reporter.ts";
import { printableLine } from "../printable.ts";
import { age } from "./table.ts";

/** Whether the cluster takes what it is told, in a line or two. */
export function describeCluster(state: KubeState): string {
  const { node, problem, waiting, sent, dropped, condition, lastTakenMs } = state;
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  const taken = lastTakenMs === undefined ? "nothing yet" : `${age(Date.now() - lastTakenMs)} ago`;
  const events = `${sent} events sent, ${waiting} waiting, ${lost} dropped`;
  const lines = [
    `cluster: node ${node}, RuntimeDegraded ${condition.status}, ${events}, last taken: ${taken}`,
  ];
  if (problem !== undefined) {
    const since = age(Date.now() - problem.sinceMs);
    lines.push(`cluster: takes nothing for ${since}: ${problem.kind}: ${problem.message}`);
  }
  if (condition.problem !== undefined) {
    const { kind, message, sinceMs } = condition.problem;
    const since = age(Date.now() - sinceMs);
    lines.push(`cluster: does not take the condition for ${since}: ${kind}: ${message}`);
  }
  return `${lines.map(printableLine).join("\n")}\n`;
}
