// SPDX-License-Identifier: Apache-2.0
import type {
  ContainerFilter,
  ContainerStatsFilter,
  PodSandboxFilter,
  PodSandboxStatsFilter,
} from "../../gen/cri.gen.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import type { RecordStore } from "../store/record-store.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { containerState } from "./container.ts";
import { sandboxState } from "./sandbox.ts";
import { idMatches, labelsMatch } from "./selector.ts";

/** Sandboxes by a list's filter, its parts ANDed. An unknown id selects none. */
export function selectSandboxes(
  records: RecordStore<SandboxRecord>,
  filter: PodSandboxFilter | null,
): SandboxRecord[] {
  return [...records.list()].filter(
    (record) =>
      idMatches(record.id, filter?.id) &&
      (!filter?.state || filter.state.state === sandboxState(record)) &&
      labelsMatch(record.config.labels, filter?.labelSelector),
  );
}

/** Containers by a list's filter, its parts ANDed. An unknown id selects none. */
export function selectContainers(
  records: RecordStore<ContainerRecord>,
  filter: ContainerFilter | null,
): ContainerRecord[] {
  return [...records.list()].filter(
    (record) =>
      idMatches(record.id, filter?.id) &&
      idMatches(record.sandboxId, filter?.podSandboxId) &&
      (!filter?.state || filter.state.state === containerState(record)) &&
      labelsMatch(record.config.labels, filter?.labelSelector),
  );
}

/** Ready sandboxes by a stats filter: the others have no figures. */
export function selectSandboxesForStats(
  records: RecordStore<SandboxRecord>,
  filter: PodSandboxStatsFilter | null,
): SandboxRecord[] {
  return [...records.list()].filter(
    (record) =>
      record.state.kind === "ready" &&
      idMatches(record.id, filter?.id) &&
      labelsMatch(record.config.labels, filter?.labelSelector),
  );
}

/** Running containers by a stats filter: the others have no figures. */
export function selectContainersForStats(
  records: RecordStore<ContainerRecord>,
  filter: ContainerStatsFilter | null,
): ContainerRecord[] {
  return [...records.list()].filter(
    (record) =>
      record.state.kind === "running" &&
      idMatches(record.id, filter?.id) &&
      idMatches(record.sandboxId, filter?.podSandboxId) &&
      labelsMatch(record.config.labels, filter?.labelSelector),
  );
}
