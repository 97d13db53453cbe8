// SPDX-License-Identifier: Apache-2.0
import type { ContainerStatusInit } from "../../gen/cri.gen.ts";
import { KeptEncodings } from "../../rpc/encoded-message.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { toContainerStatus } from "./container.ts";

/** Who follows a pod asks for all of its containers whenever one has changed: a record that changes is another one. */
const encodings = new KeptEncodings("runtime.v1.ContainerStatus", toContainerStatus);

/** `toContainerStatus`, encoded. The bytes are kept with the record. */
export function encodedContainerStatus(record: ContainerRecord): Buffer {
  return encodings.of(record);
}

/** A pod's containers for events, the newest first. */
export function toContainerStatuses(records: readonly ContainerRecord[]): ContainerStatusInit[] {
  return newestFirst(records).map(toContainerStatus);
}

/** The same for PodSandboxStatus, encoded. */
export function encodedContainerStatuses(records: readonly ContainerRecord[]): Buffer[] {
  return newestFirst(records).map(encodedContainerStatus);
}

/**
 * A kubelet with evented PLEG takes the first of a name for the present one, and else asks for an attempt that there
 * was.
 */
function newestFirst(records: readonly ContainerRecord[]): readonly ContainerRecord[] {
  // Made in one millisecond, they stand in the order of their making.
  return records.toReversed().toSorted((one, other) => compare(other, one));
}

function compare(one: ContainerRecord, other: ContainerRecord): number {
  if (one.createdAtNanos === other.createdAtNanos) return 0;
  return one.createdAtNanos < other.createdAtNanos ? -1 : 1;
}
