// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { ContainerStatsRequest, ContainerStatsResponseInit } from "../../gen/cri.gen.ts";
import type { StatsReader } from "./stats-reader.ts";

/** ContainerStats. NOT_FOUND for an unknown id. */
export async function containerStats(
  reader: StatsReader,
  { containerId }: ContainerStatsRequest,
): Promise<ContainerStatsResponseInit> {
  if (containerId === "") throw fault("INVALID_ARGUMENT", "container_id: is empty");
  const container = reader.ports.find(containerId);
  if (container === undefined) throw fault("NOT_FOUND", `container "${containerId}" not found`);
  return { stats: await reader.read(container) };
}
