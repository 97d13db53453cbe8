// SPDX-License-Identifier: Apache-2.0
import type {
  DamagedRow,
  MetadataStore,
  RecordCodec,
  RecordTable,
  Transaction,
} from "../../../src/metadata/ports.ts";
import type { Steps } from "./steps.ts";

/** A metadata store in memory whose rows go through JSON, as on a disk. `reopen` is a restart. */
export class MemoryMetadata implements MetadataStore {
  readonly damaged: DamagedRow[] = [];
  readonly #rows = new Map<string, Map<string, { version: number; json: string }>>();
  readonly #steps: Steps;

  constructor(steps: Steps) {
    this.#steps = steps;
  }

  table<T>(name: string, codec: RecordCodec<T>): RecordTable<T> {
    const rows = this.#rows.get(name) ?? new Map<string, { version: number; json: string }>();
    this.#rows.set(name, rows);
    const key = (namespace: string, id: string): string => `${namespace}/${id}`;
    const read = (row: { version: number; json: string }): T =>
      codec.decode(JSON.parse(row.json) as unknown, row.version);
    const entries = (): { namespace: string; id: string; record: T }[] =>
      [...rows].map(([path, row]) => {
        const [namespace = "", id = ""] = path.split("/");
        return { namespace, id, record: read(row) };
      });
    return {
      name,
      get: (namespace, id) => {
        const row = rows.get(key(namespace, id));
        return row && read(row);
      },
      has: (namespace, id) => rows.has(key(namespace, id)),
      list: (namespace) =>
        entries()
          .filter((entry) => entry.namespace === namespace)
          .map(({ record }) => record),
      entries,
      put: async (namespace, id, record) => {
        const json = JSON.stringify(codec.encode(record));
        await this.#steps.run(`put ${name}`);
        rows.set(key(namespace, id), { version: codec.version, json });
      },
      delete: async (namespace, id) => {
        await this.#steps.run(`drop ${name}`);
        rows.delete(key(namespace, id));
      },
    };
  }

  transaction(_change: (tx: Transaction) => void): Promise<void> {
    return Promise.reject(new Error("not used by the CRI façade"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
