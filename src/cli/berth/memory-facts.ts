// SPDX-License-Identifier: Apache-2.0
import type { MemoryFacts } from "../../base/memory/memory-budget.ts";

const mib = 2 ** 20;

/** A line for the budget, and one for what was refused for lack of memory since the start. */
export function describeMemory(facts: MemoryFacts): string {
  const { cgroup, heapLimitBytes, heldBytes, limitBytes, pools, refused } = facts;
  const by = cgroup === "" ? "of the machine" : `by ${cgroup}`;
  const held = heldBytes === null ? "" : `, ${inMib(heldBytes)} held`;
  const shares = pools.map(
    ({ name, heldBytes: now, limitBytes: most }) => `${name} ${inMib(now)} of ${inMib(most)}`,
  );
  const counts = Object.entries(refused)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${count} for ${reason}`);
  const lines = [
    `memory: ${inMib(limitBytes)} ${by}${held}; heap ${inMib(heapLimitBytes)}; ${shares.join(", ")}`,
    ...(counts.length === 0 ? [] : [`refused for lack of memory: ${counts.join(", ")}`]),
  ];
  return `${lines.join("\n")}\n`;
}

function inMib(bytes: number): string {
  return `${Math.round(bytes / mib)} MiB`;
}
