// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { ContainerConfig, LinuxContainerResources, Mount } from "../../gen/cri.gen.ts";
import type { RecordCodec } from "../../metadata/ports.ts";
import { StoredFields } from "../../metadata/stored-fields.ts";
import { codec } from "../../rpc/codec.ts";
import type { SpecChange } from "../spec-review.ts";
import type { NamedRecord, RecordStore } from "./record-store.ts";

/**
 *     created ──▶ running ──▶ exited
 *        └──────────────────────▲      a failed start: exit code 128, reason StartError
 *     unknown                          what recovery could not make out; stop and remove work
 */
export type ContainerState =
  | { readonly kind: "created" }
  | { readonly kind: "running"; readonly pid: number; readonly startedAtNanos: bigint }
  | ExitedState
  | { readonly kind: "unknown"; readonly reason: string };

export interface ExitedState {
  readonly kind: "exited";
  /** 0n when it never ran. */
  readonly startedAtNanos: bigint;
  readonly finishedAtNanos: bigint;
  readonly exitCode: number;
  /** Completed, Error, OOMKilled, StartError or Unknown: the words a kubelet shows. */
  readonly reason: string;
  readonly message: string;
}

export interface ContainerRecord extends NamedRecord {
  readonly sandboxId: string;
  readonly config: ContainerConfig;
  readonly createdAtNanos: bigint;
  /** Id of the image's config, `sha256:…`. */
  readonly imageId: string;
  /** The image's first tag, or else how the request named it. */
  readonly imageName: string;
  /** The image's first repo digest, else its id. */
  readonly imageRef: string;
  /** The image's StopSignal as written there; "" for none. */
  readonly imageStopSignal: string;
  /** Absolute path of the log file; "" for none. */
  readonly logPath: string;
  /** See echoedMounts. */
  readonly mounts: readonly Mount[];
  /** Limits as they are now, after updates; null when none were ever given. */
  readonly resources: LinuxContainerResources | null;
  /** Ids of the first process. */
  readonly user: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
  /** Path of its cgroup as the spec has it. */
  readonly cgroupsPath: string;
  readonly state: ContainerState;
  /** Folder of the CRIU image that its start restores; absent for one that starts anew. */
  readonly checkpoint?: string | undefined;
  /** What plugins have changed of its spec; absent when none has. */
  readonly changes?: readonly SpecChange[] | undefined;
}

/** How messages name a state. */
export function describeState(state: ContainerState): string {
  return state.kind === "unknown" ? `unknown (${state.reason})` : state.kind;
}

/** The container once its task runs. FAILED_PRECONDITION unless it is created. */
export function becomeRunning(
  record: ContainerRecord,
  task: { readonly pid: number; readonly startedAtNanos: bigint },
): ContainerRecord {
  if (record.state.kind !== "created") {
    throw fault(
      "FAILED_PRECONDITION",
      `cannot start container "${record.id}": state is ${describeState(record.state)}, not created`,
    );
  }
  return { ...record, state: { kind: "running", ...task } };
}

/** The container whose task was taken back before it ran. An ending that is recorded stays. */
export function becomeCreated(record: ContainerRecord): ContainerRecord {
  return record.state.kind === "exited" ? record : { ...record, state: { kind: "created" } };
}

/** The container once its task has ended. The first ending that is recorded stays. */
export function becomeExited(
  record: ContainerRecord,
  exit: Omit<ExitedState, "kind" | "startedAtNanos">,
): ContainerRecord {
  if (record.state.kind === "exited") return record;
  const startedAtNanos = record.state.kind === "running" ? record.state.startedAtNanos : 0n;
  // A clock that was set back must not make a container end before it began.
  const finishedAtNanos =
    exit.finishedAtNanos < startedAtNanos ? startedAtNanos : exit.finishedAtNanos;
  return { ...record, state: { kind: "exited", ...exit, startedAtNanos, finishedAtNanos } };
}

type Stored = Omit<ContainerRecord, "config" | "createdAtNanos" | "resources" | "state"> & {
  readonly config: string;
  readonly resources: string | null;
  readonly createdAtNanos: string;
  readonly state: Record<string, unknown>;
};

const nanosFields = ["startedAtNanos", "finishedAtNanos"] as const;

/** The row's form: wire messages as base64 of their protobuf, nanoseconds as decimal text. */
export const containerRecordCodec: RecordCodec<ContainerRecord> = {
  version: 1,
  encode: (record): Stored => ({
    ...record,
    config: codec("runtime.v1.ContainerConfig").encode(record.config).toString("base64"),
    resources:
      record.resources &&
      codec("runtime.v1.LinuxContainerResources").encode(record.resources).toString("base64"),
    createdAtNanos: record.createdAtNanos.toString(),
    state: mapNanos(record.state, String),
  }),
  decode: (value) => {
    const stored = new StoredFields("container", value);
    checkStored(stored);
    const row = value as Stored;
    if (row.resources !== null) stored.text("resources");
    const resources = codec("runtime.v1.LinuxContainerResources");
    return {
      ...row,
      config: codec("runtime.v1.ContainerConfig").decode(Buffer.from(row.config, "base64")),
      resources:
        row.resources === null ? null : resources.decode(Buffer.from(row.resources, "base64")),
      createdAtNanos: BigInt(row.createdAtNanos),
      state: mapNanos(row.state, (nanos) => BigInt(nanos as string)) as unknown as ContainerState,
    };
  },
};

/** What everything that lists containers relies on. */
function checkStored(stored: StoredFields): void {
  const texts = ["id", "name", "sandboxId", "config", "imageId", "imageName", "imageRef"];
  for (const name of [...texts, "imageStopSignal", "logPath", "cgroupsPath"]) stored.text(name);
  if (stored.has("checkpoint")) stored.text("checkpoint");
  if (stored.has("changes")) stored.list("changes");
  stored.decimal("createdAtNanos");
  stored.list("mounts");
  const user = stored.fields("user");
  for (const name of ["uid", "gid"]) user.integer(name);
  user.integers("groups");
  const state = stored.fields("state");
  const kind = state.oneOf("kind", ["created", "running", "exited", "unknown"]);
  if (kind === "running") state.integer("pid");
  if (kind === "running" || kind === "exited") state.decimal("startedAtNanos");
  if (kind === "exited") {
    state.decimal("finishedAtNanos");
    state.integer("exitCode");
  }
  if (kind === "exited") for (const name of ["reason", "message"]) state.text(name);
  if (kind === "unknown") state.text("reason");
}

function mapNanos(state: object, change: (nanos: unknown) => unknown): Record<string, unknown> {
  const copy: Record<string, unknown> = { ...state };
  for (const field of nanosFields) {
    if (copy[field] !== undefined) copy[field] = change(copy[field]);
  }
  return copy;
}

/** The containers of a sandbox, the oldest first. From memory. */
export function containersOf(
  containers: RecordStore<ContainerRecord>,
  sandboxId: string,
): ContainerRecord[] {
  return containers.inGroup(sandboxId);
}
