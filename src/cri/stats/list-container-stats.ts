// SPDX-License-Identifier: Apache-2.0
import type {
  ContainerStatsFilter,
  ContainerStatsInit,
  ListContainerStatsRequest,
  ListContainerStatsResponseInit,
} from "../../gen/cri.gen.ts";
import type { StatsContainer } from "./ports.ts";
import type { StatsReader } from "./stats-reader.ts";

/**
 * ListContainerStats: the running containers that fit every part of the filter. One whose figures
 * cannot be read is left out and fails nothing: this call decides evictions on the whole node.
 */
export async function listContainerStats(
  reader: StatsReader,
  { filter }: ListContainerStatsRequest,
): Promise<ListContainerStatsResponseInit> {
  const chosen = reader.ports.list().filter((container) => fits(container, filter));
  const stats = await Promise.all(
    chosen.map(async (container): Promise<ContainerStatsInit | undefined> => {
      try {
        return await reader.readRunning(container);
      } catch {
        return undefined;
      }
    }),
  );
  reader.prune();
  return { stats: stats.filter((entry) => entry !== undefined) };
}

function fits(container: StatsContainer, filter: ContainerStatsFilter | null): boolean {
  if (filter === null) return true;
  const { id, podSandboxId, labelSelector } = filter;
  return (
    container.id.startsWith(id) &&
    container.sandboxId.startsWith(podSandboxId) &&
    Object.entries(labelSelector).every(([name, value]) => container.labels[name] === value)
  );
}
