// SPDX-License-Identifier: Apache-2.0
import type { ContainerStatusInit } from "../../gen/cri.gen.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { toContainerStatus } from "./container.ts";

/**
 * A pod's containers for PodSandboxStatus and events, the newest first: a kubelet with evented PLEG
 * takes the first of a name for the present one, and else asks for an attempt that there was.
 */
export function toContainerStatuses(records: readonly ContainerRecord[]): ContainerStatusInit[] {
  // Made in one millisecond, they stand in the order of their making.
  return records
    .toReversed()
    .toSorted((one, other) => compare(other, one))
    .map(toContainerStatus);
}

function compare(one: ContainerRecord, other: ContainerRecord): number {
  if (one.createdAtNanos === other.createdAtNanos) return 0;
  return one.createdAtNanos < other.createdAtNanos ? -1 : 1;
}
