// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { ContainersContainer } from "../gen/containers.gen.ts";
import { codec } from "../rpc/codec.ts";
import type { MetadataStore, RecordCodec, RecordTable } from "./ports.ts";
import { StoredFields } from "./stored-fields.ts";

/** A namespace that was made or labelled on purpose. Others exist by being used. */
export interface NamespaceRecord {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

const containerMessage = () => codec("containerd.services.containers.v1.Container");

/** Stored as the message's bytes: protobuf takes care of fields that come later, and Anys stay as they are. */
const containerCodec: RecordCodec<ContainersContainer> = {
  version: 1,
  encode: (record) => containerMessage().encode(record).toString("base64"),
  decode: (value) => {
    if (typeof value !== "string") throw fault("DATA_LOSS", "container record is no string");
    const record = containerMessage().decode(Buffer.from(value, "base64"));
    if (record.id === "") throw fault("DATA_LOSS", "container record has no id");
    return record;
  },
};

const namespaceCodec: RecordCodec<NamespaceRecord> = {
  version: 1,
  encode: (record) => record,
  decode: (value) => {
    const stored = new StoredFields("namespace", value);
    return { name: stored.text("name"), labels: stored.textMap("labels") };
  },
};

/** Container records, by namespace and container id. */
export function containersTable(store: MetadataStore): RecordTable<ContainersContainer> {
  return store.table("containers", containerCodec);
}

/** Makes a namespace's record, so that it stays when the last thing in it has gone. */
export async function rememberNamespace(store: MetadataStore, name: string): Promise<void> {
  const namespaces = namespacesTable(store);
  if (!namespaces.has("", name)) await namespaces.put("", name, { name, labels: {} });
}

/** Namespace records, in namespace "" by name. */
export function namespacesTable(store: MetadataStore): RecordTable<NamespaceRecord> {
  return store.table("namespaces", namespaceCodec);
}
