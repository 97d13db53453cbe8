// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { kindLabel } from "../../client/kind-label.ts";
import type { Container } from "../../client/ports.ts";
import type { ContainerConfig } from "../../gen/cri.gen.ts";
import type { Image } from "../../images/ports.ts";
import { rootLabel } from "../../metadata/references.ts";
import type { OciSpec } from "../../oci/spec.ts";
import { mappingLabels } from "../../snapshots/mapping-labels.ts";
import { checkpointFiles } from "../checkpoint/checkpoint-files.ts";
import {
  type CheckpointSource,
  type CheckpointSourceNeeds,
  checkpointSource,
  type OpenCheckpointNeeds,
  openCheckpoint,
} from "../checkpoint/open-checkpoint.ts";
import { type NewContainer, newContainerRecord } from "../container/new-container-record.ts";
import { type NewSpecNeeds, newContainerSpec } from "../container/new-container-spec.ts";
import { containerRecordInit } from "../container/oci-container.ts";
import { bothSettled } from "../lifecycle/both-settled.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { BuiltContainerSpec } from "../oci-spec/ports.ts";
import type { CriParts } from "../parts.ts";
import { criNamespace } from "../ports.ts";
import { type HandlerNeeds, podHandler, podMappings } from "../sandbox/pod-handler.ts";
import { type ReadyNeeds, readySandbox } from "../sandbox/ready-sandbox.ts";
import { type ContainerSubject, type ReviewedContainer, reviewContainer } from "../spec-review.ts";
import { type ContainerRecord, describeState } from "../store/container-record.ts";
import { newObjectId } from "../store/record-store.ts";
import { absentAsUndefined, purgeContainer } from "../task/purge-task.ts";
import { containerName, type ValidContainerConfig, validContainerConfig } from "../validate.ts";
import type { Verb } from "./verb.ts";

export type CreateContainerNeeds = CheckpointSourceNeeds &
  OpenCheckpointNeeds &
  HandlerNeeds &
  ReadyNeeds &
  NewSpecNeeds &
  Pick<CriParts, "client" | "containers" | "events" | "images" | "layerArchives"> &
  Pick<CriParts, "liveContainers" | "nri" | "operations" | "paths" | "remover" | "reviewers"> &
  Pick<CriParts, "snapshotter">;

type Needs = CreateContainerNeeds;

/** The kubelet gives CreateContainer two minutes. */
const attemptMs = 120_000;

/** CreateContainer: snapshot, spec and records; nothing runs yet. */
export function createContainer(parts: Needs): Verb<"CreateContainer"> {
  return async ({ podSandboxId, ...given }, call) => {
    const config = validContainerConfig(given.config);
    return { containerId: await makeContainer(parts, { podSandboxId, config }, call) };
  };
}

/** The same for RestorePod, which says what checkpoint the container comes from: then the image's name tells of none. */
export async function makeContainer(
  parts: Needs,
  given: {
    readonly podSandboxId: string;
    readonly config: ValidContainerConfig;
    readonly checkpoint?: CheckpointSource;
  },
  call: Cancellable,
): Promise<string> {
  const { config, podSandboxId } = given;
  const sandbox = readySandbox(parts, podSandboxId);
  const name = containerName(config.metadata, sandbox.config.metadata);
  const wanted = { sandboxId: sandbox.id, config };
  const finished = finishedContainer(parts, name, wanted);
  if (finished) return finished.id;
  const checkpoint = given.checkpoint ?? (await checkpointSource(parts, config.image.image, call));
  const image = parts.images.find(config.image.image);
  if (!image && !checkpoint) {
    throw fault("NOT_FOUND", `image "${config.image.image}" is not present on this node`);
  }
  const handler = podHandler(parts, sandbox.record);
  const id = newObjectId();
  const request = { id, name, config, sandbox, image, handler, checkpoint };
  return parts.operations.perform(
    {
      rpc: "CreateContainer",
      object: name,
      joins: { request: wanted },
      limit: { ms: attemptMs, what: `creating container "${name}"` },
      facts: { container: id },
    },
    call,
    (op) => make(parts, op, request),
  );
}

/** What two requests of one name must agree in. */
interface Wanted {
  readonly sandboxId: string;
  readonly config: ContainerConfig;
}

/** What an earlier attempt of the same name made, if the request is the same and it never ran. */
function finishedContainer(
  { containers }: Pick<Needs, "containers">,
  name: string,
  wanted: Wanted,
): ContainerRecord | undefined {
  const record = containers.byName(name);
  if (!record) return undefined;
  const isSame =
    record.sandboxId === wanted.sandboxId && isDeepStrictEqual(record.config, wanted.config);
  if (isSame && record.state.kind === "created") return record;
  const why = isSame
    ? `whose state is ${describeState(record.state)}`
    : "whose configuration differs";
  throw fault(
    "ALREADY_EXISTS",
    `container name "${name}" is held by container "${record.id}", ${why}`,
  );
}

interface Request extends Omit<NewContainer, "image" | "restore"> {
  /** Undefined when it is a checkpoint that says which. */
  readonly image: Image | undefined;
  readonly checkpoint: CheckpointSource | undefined;
}

async function make(parts: Needs, op: Operation, request: Request): Promise<string> {
  const { id } = request;
  op.undo("files", () => parts.remover.remove(parts.paths.container(id)));
  const plan = await planned(parts, op, request);
  using held = new DisposableStack();
  const built = await prepare(parts, op, plan, held);
  const record = newContainerRecord(parts.images, plan, built);
  const container = await storeBoth(parts, op, { record, plan, built });
  readySandbox(parts, plan.sandbox.id); // its stop may have begun meanwhile
  parts.liveContainers.of(id).keep(container);
  parts.containers.show(record);
  held.dispose();
  op.keep();
  parts.events.publish({ type: "created", containerId: id, sandboxId: plan.sandbox.id });
  await parts.nri.tell("PostCreateContainer", record, op);
  return id;
}

async function planned(
  parts: OpenCheckpointNeeds & Pick<Needs, "images" | "paths">,
  op: Operation,
  { checkpoint, ...request }: Request,
): Promise<NewContainer> {
  if (checkpoint) {
    const { image, folder } = await op.run("checkpoint", () =>
      openCheckpoint(parts, checkpoint, parts.paths.restore(request.id), op),
    );
    return { ...request, image, restore: folder };
  }
  const { image } = request;
  if (image) {
    await op.run("image", () => parts.images.unpack(image, op));
    return { ...request, image, restore: undefined };
  }
  throw fault("NOT_FOUND", `image "${request.config.image.image}" is not present on this node`);
}

/** Prepares the snapshot and builds the spec, which reads the image's layers, not the snapshot. */
async function prepare(
  parts: Needs,
  op: Operation,
  plan: NewContainer,
  held: DisposableStack,
): Promise<ReviewedSpec> {
  const { snapshotter } = parts;
  const { id, restore } = plan;
  const { chainId } = plan.image;
  // A root of its own: between here and the container's record nothing else refers to it.
  const labels = {
    [kindLabel]: "container",
    [rootLabel]: "true",
    ...mappingLabels(podMappings(parts, plan.sandbox.record)),
  };
  const options = { labels, signal: op.signal };
  op.undo("snapshot", (call) =>
    absentAsUndefined(() => snapshotter.remove(criNamespace, id, call)),
  );
  const [, built] = await bothSettled(
    () => op.run("snapshot", () => snapshotter.prepare(criNamespace, id, chainId, options)),
    async () => {
      const unseen = await op.run("spec", () => newContainerSpec(parts, plan, op));
      return reviewed(parts, op, { plan, built: unseen }, held);
    },
  );
  if (restore !== undefined) {
    const { rootfsDiff } = checkpointFiles(restore);
    await op.run("rootfs", () => parts.layerArchives.unpack(id, rootfsDiff, op));
  }
  return built;
}

type ReviewedSpec = BuiltContainerSpec & ReviewedContainer;

/** The spec after those have had their say who review it. */
async function reviewed(
  { images, reviewers }: Pick<Needs, "images" | "reviewers">,
  op: Operation,
  { plan, built }: { readonly plan: NewContainer; readonly built: BuiltContainerSpec },
  held: DisposableStack,
): Promise<ReviewedSpec> {
  const { id, sandbox, config } = plan;
  const pod = { id: sandbox.id, config: sandbox.config };
  const subject = (spec: OciSpec): ContainerSubject => ({
    id,
    sandbox: pod,
    config,
    spec,
    pod: sandbox.record,
    draft: () => newContainerRecord(images, plan, { ...built, spec, changes: [] }),
  });
  const first = { spec: built.spec, subject };
  return { ...built, ...(await reviewContainer(reviewers, first, op, held)) };
}

async function storeBoth(
  { client, containers, snapshotter }: Pick<Needs, "client" | "containers" | "snapshotter">,
  op: Operation,
  made: { record: ContainerRecord; plan: NewContainer; built: ReviewedSpec },
): Promise<Container> {
  const { record, plan, built } = made;
  const { id } = record;
  op.undo("record", () => containers.delete(id));
  op.undo("container", (call) => purgeContainer(client, id, undefined, call));
  const init = containerRecordInit({
    id,
    kind: "container",
    labels: { ...plan.image.config.labels, ...record.config.labels },
    image: record.imageName,
    stopSignal: record.imageStopSignal,
    handler: plan.handler,
    spec: built.spec,
    sandboxId: plan.sandbox.id,
    snapshotter: snapshotter.name,
    snapshotKey: id,
  });
  const [container] = await op.run("records", () =>
    bothSettled(
      () => client.newContainer(init, op),
      () => containers.write(record),
    ),
  );
  return container;
}
