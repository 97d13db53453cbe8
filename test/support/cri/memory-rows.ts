// SPDX-License-Identifier: Apache-2.0
import type { ContainersContainer } from "../../../src/gen/containers.gen.ts";
import type { RowWriter } from "../../../src/metadata/mirrored-store.ts";
import type { RowChange, RowKey, StoredRow } from "../../../src/metadata/mirrored-table.ts";
import { codec } from "../../../src/rpc/codec.ts";
import type { Steps } from "./steps.ts";

/**
 * The disk below a metadata store. Each row that is written is a step: `put TABLE` and `drop TABLE`;
 * for rows of containers `new record KIND`, `update record` and `delete record KIND`.
 */
export class MemoryRows implements RowWriter {
  readonly #rows = new Map<string, StoredRow>();
  readonly #steps: Steps;
  /** See MetadataStore. */
  harm: string | undefined;

  constructor(steps: Steps) {
    this.#steps = steps;
  }

  /** What a store that is opened now finds. */
  stored(): readonly StoredRow[] {
    return [...this.#rows.values()];
  }

  /** A row that no store can read. */
  damage(key: RowKey): void {
    this.#rows.set(pathOf(key), { ...key, version: 1, value: "not JSON" });
  }

  /** All or none. The store tries each change of a group alone when the group fails. */
  async write(changes: readonly RowChange[]): Promise<void> {
    const steps = changes.map((change) => this.#stepOf(change));
    for (const step of steps) {
      const error = step !== undefined && changes.length > 1 && this.#steps.failing.get(step);
      if (error) throw error;
    }
    for (const [at, change] of changes.entries()) {
      const step = steps[at];
      if (step !== undefined) await this.#steps.run(step);
      if (change.kind === "put") this.#rows.set(pathOf(change.row), change.row);
      else this.#rows.delete(pathOf(change.key));
    }
  }

  async close(): Promise<void> {}

  #stepOf(change: RowChange): string | undefined {
    if (change.kind === "set-aside") return undefined;
    const { table } = change.kind === "put" ? change.row : change.key;
    if (table === "namespaces") return undefined;
    if (table !== "containers") return `${change.kind === "put" ? "put" : "drop"} ${table}`;
    const before = this.#rows.get(pathOf(change.kind === "put" ? change.row : change.key));
    if (change.kind === "delete") return `delete record ${before ? kindOf(before) : ""}`;
    return before ? "update record" : `new record ${kindOf(change.row)}`;
  }
}

function pathOf({ table, namespace, id }: RowKey): string {
  return JSON.stringify([table, namespace, id]);
}

/** "sandbox" or "container"; "" for what is no pod's. */
export function kindOfContainer(container: ContainersContainer | undefined): string {
  return container?.labels["io.cri-containerd.kind"] ?? "";
}

function kindOf(row: StoredRow): string {
  const bytes = Buffer.from(JSON.parse(row.value) as string, "base64");
  return kindOfContainer(codec("containerd.services.containers.v1.Container").decode(bytes));
}
