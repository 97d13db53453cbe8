// SPDX-License-Identifier: Apache-2.0

import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { fault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { kindLabel } from "../../client/kind-label.ts";
import type { Container } from "../../client/ports.ts";
import type { LinuxContainerResources } from "../../gen/cri.gen.ts";
import type { Image, Images } from "../../images/ports.ts";
import { rootLabel } from "../../metadata/references.ts";
import type { OciSpec } from "../../oci/spec.ts";
import { chainUsage } from "../../snapshots/chain-usage.ts";
import { mappingLabels } from "../../snapshots/mapping-labels.ts";
import { checkpointFiles } from "../checkpoint/checkpoint-files.ts";
import {
  type CheckpointSource,
  checkpointSource,
  openCheckpoint,
} from "../checkpoint/open-checkpoint.ts";
import { containerRecordInit } from "../container/oci-container.ts";
import { echoedMounts } from "../convert/echoed-mounts.ts";
import type { CreateRequest, Facade, Verb } from "../facade.ts";
import type { PodHandler } from "../handlers.ts";
import { bothSettled } from "../lifecycle/both-settled.ts";
import type { Claim as Operation } from "../lifecycle/claim.ts";
import { newObjectId } from "../lifecycle/object-id.ts";
import { UndoStack } from "../lifecycle/undo.ts";
import type { BuiltContainerSpec } from "../oci-spec/ports.ts";
import { criNamespace } from "../ports.ts";
import { imageVolumePath } from "../sandbox/image-volumes.ts";
import { podHandler } from "../sandbox/pod-handler.ts";
import { podMappings } from "../sandbox/pod-mappings.ts";
import { type ReadySandbox, readySandbox } from "../sandbox/ready-sandbox.ts";
import { type ContainerRecord, describeState } from "../store/container-record.ts";
import { netnsPathOf } from "../store/sandbox-record.ts";
import { absentAsUndefined, purgeContainer } from "../task/purge-task.ts";
import { containerName, type ValidContainerConfig, validContainerConfig } from "../validate.ts";

/** The kubelet gives CreateContainer two minutes. */
const attemptMs = 120_000;

/** CreateContainer: snapshot, spec and records; nothing runs yet. */
export function createContainer(facade: Facade): Verb<"CreateContainer"> {
  return async ({ podSandboxId, ...given }, call) => {
    const config = validContainerConfig(given.config);
    const sandbox = readySandbox(facade, podSandboxId);
    const name = containerName(config.metadata, sandbox.config.metadata);
    const wanted = { sandboxId: sandbox.id, config };
    const finished = finishedContainer(facade, name, wanted);
    if (finished) return { containerId: finished.id };
    const checkpoint = await checkpointSource(facade, config.image.image, call);
    const image = facade.ports.images.find(config.image.image);
    if (!image && !checkpoint) {
      throw fault("NOT_FOUND", `image "${config.image.image}" is not present on this node`);
    }
    const handler = podHandler(facade, sandbox.record);
    const request = { name, config, sandbox, image, handler, checkpoint };
    const attempt = (own: Cancellable): Promise<string> => make(facade, request, own);
    const containerId = await facade.containerAttempts.run(name, wanted, attempt, call);
    return { containerId };
  };
}

/** What an earlier attempt of the same name made, if the request is the same and it never ran. */
function finishedContainer(
  facade: Facade,
  name: string,
  wanted: CreateRequest,
): ContainerRecord | undefined {
  const record = facade.containers.byName(name);
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

interface Request {
  readonly name: string;
  readonly config: ValidContainerConfig;
  readonly sandbox: ReadySandbox;
  readonly handler: PodHandler;
  /** Undefined when it is a checkpoint that says which. */
  readonly image: Image | undefined;
  readonly checkpoint: CheckpointSource | undefined;
}

interface Plan extends Omit<Request, "checkpoint"> {
  readonly image: Image;
  /** The folder of an unpacked checkpoint, for a container that is restored. */
  readonly restore: string | undefined;
}

async function make(facade: Facade, request: Request, own: Cancellable): Promise<string> {
  using limit = deadline(attemptMs, `creating container "${request.name}"`, own.signal);
  using op = facade.operations.claim("CreateContainer", request.name);
  const id = newObjectId();
  await using undo = new UndoStack(facade.ports.log.child({ container: id }));
  undo.add("files", () => facade.ports.remover.remove(facade.paths.container(id)));
  const plan = await planned(facade, op, id, request, limit);
  const built = await prepare(facade, op, undo, id, plan, limit);
  const record = recordOf(facade.ports.images, id, plan, built);
  const container = await storeBoth(facade, op, undo, { record, plan, built }, limit);
  readySandbox(facade, plan.sandbox.id); // its stop may have begun meanwhile
  facade.liveContainers.of(id).keep(container);
  facade.containers.show(record);
  undo.keep();
  facade.publish({ type: "created", containerId: id, sandboxId: plan.sandbox.id });
  return id;
}

async function planned(
  facade: Facade,
  op: Operation,
  id: string,
  { checkpoint, ...request }: Request,
  call: Cancellable,
): Promise<Plan> {
  if (checkpoint) {
    const { image, folder } = await op.run("checkpoint", () =>
      openCheckpoint(facade, checkpoint, facade.paths.restore(id), call),
    );
    return { ...request, image, restore: folder };
  }
  const { image } = request;
  if (image) {
    await op.run("image", () => facade.ports.images.unpack(image, call));
    return { ...request, image, restore: undefined };
  }
  throw fault("NOT_FOUND", `image "${request.config.image.image}" is not present on this node`);
}

/** Prepares the snapshot and builds the spec, which reads the image's layers, not the snapshot. */
async function prepare(
  facade: Facade,
  op: Operation,
  undo: UndoStack,
  id: string,
  plan: Plan,
  call: Cancellable,
): Promise<BuiltContainerSpec> {
  const { snapshotter } = facade.ports;
  const { chainId } = plan.image;
  // A root of its own: between here and the container's record nothing else refers to it.
  const labels = {
    [kindLabel]: "container",
    [rootLabel]: "true",
    ...mappingLabels(podMappings(facade, plan.sandbox.record)),
  };
  const options = { labels, signal: call.signal };
  undo.add("snapshot", (own) => absentAsUndefined(() => snapshotter.remove(criNamespace, id, own)));
  const [, built] = await bothSettled(
    () => op.run("snapshot", () => snapshotter.prepare(criNamespace, id, chainId, options)),
    async () =>
      reviewed(
        facade,
        op,
        plan,
        id,
        await op.run("spec", () => buildSpec(facade, id, plan, call)),
        call,
      ),
  );
  const { restore } = plan;
  if (restore !== undefined) {
    const { rootfsDiff } = checkpointFiles(restore);
    await op.run("rootfs", () => facade.ports.layerArchives.unpack(id, rootfsDiff, call));
  }
  return built;
}

/** The spec after the operator's plugins have had their say. */
async function reviewed(
  facade: Facade,
  op: Operation,
  { sandbox, config }: Plan,
  id: string,
  built: BuiltContainerSpec,
  call: Cancellable,
): Promise<BuiltContainerSpec> {
  const { review } = facade.ports;
  if (review === undefined) return built;
  const pod = { id: sandbox.id, config: sandbox.config };
  const request = { id, sandbox: pod, config, spec: built.spec };
  return { ...built, spec: await op.run("plugins", () => review.container(request, call)) };
}

async function buildSpec(
  facade: Facade,
  id: string,
  plan: Plan,
  call: Cancellable,
): Promise<BuiltContainerSpec> {
  const { ports, paths } = facade;
  const { sandbox, config, image, handler } = plan;
  const layers = ports.snapshotter.directories(criNamespace, image.chainId);
  return ports.specs.container({
    id,
    sandbox: {
      id: sandbox.id,
      pid: sandbox.pid,
      netnsPath: netnsPathOf(sandbox.record),
      config: sandbox.config,
    },
    config,
    image,
    imageName: requestedImage(config),
    handler: handler.config,
    features: handler.features,
    cri: ports.config.cri,
    host: ports.hostFacts,
    files: paths.sandboxFiles(sandbox.id),
    targetPid: targetPid(facade, plan),
    rootfs: ports.specs.openRootfs(layers),
    volumesDir: paths.volumes(id),
    imageUsage: () => chainUsage(ports.snapshotter, criNamespace, image.chainId, call),
    signal: call.signal,
    imageVolumePath: (mount) => imageVolumePath(facade, sandbox.id, mount, call),
  });
}

async function storeBoth(
  facade: Facade,
  op: Operation,
  undo: UndoStack,
  made: { record: ContainerRecord; plan: Plan; built: BuiltContainerSpec },
  call: Cancellable,
): Promise<Container> {
  const { client, snapshotter } = facade.ports;
  const { record, plan, built } = made;
  const { id } = record;
  undo.add("record", () => facade.containers.delete(id));
  undo.add("container", (own) => purgeContainer(client, id, undefined, own));
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
      () => client.newContainer(init, call),
      () => facade.containers.write(record),
    ),
  );
  return container;
}

function recordOf(
  images: Images,
  id: string,
  plan: Plan,
  built: BuiltContainerSpec,
): ContainerRecord {
  const { config, image, sandbox } = plan;
  const { user } = built;
  return {
    id,
    name: plan.name,
    sandboxId: sandbox.id,
    config,
    createdAtNanos: nowNanos(),
    imageId: image.id,
    imageName: image.repoTags[0] ?? image.repoDigests[0] ?? requestedImage(config),
    imageRef: image.repoDigests[0] ?? image.id,
    imageStopSignal: image.config.stopSignal,
    logPath: logPath(sandbox.config.logDirectory, config.logPath),
    mounts: echoedMounts(config.mounts, images),
    resources: effective(config.linux?.resources, built.spec),
    user: { uid: user.uid, gid: user.gid, groups: user.supplementalGroups },
    cgroupsPath: built.spec.linux.cgroupsPath ?? "",
    state: { kind: "created" },
    ...(plan.restore !== undefined && { checkpoint: checkpointFiles(plan.restore).criu }),
  };
}

/** The limits as they are going to hold: an OOM score may have been raised to what the daemon may set. */
function effective(
  requested: LinuxContainerResources | null | undefined,
  { process }: OciSpec,
): LinuxContainerResources | null {
  if (!requested) return null;
  return { ...requested, oomScoreAdj: BigInt(process.oomScoreAdj ?? requested.oomScoreAdj) };
}

/** "" unless both the pod's folder and the container's file are given. */
function logPath(directory: string, file: string): string {
  return directory === "" || file === "" ? "" : path.join(directory, file);
}

function requestedImage(config: ValidContainerConfig): string {
  return config.image.userSpecifiedImage === ""
    ? config.image.image
    : config.image.userSpecifiedImage;
}

/** The pid whose namespace pid mode TARGET joins; undefined in other modes. */
function targetPid(facade: Facade, { config, sandbox }: Plan): number | undefined {
  const options = config.linux?.securityContext?.namespaceOptions;
  if (options?.pid !== "TARGET") return undefined;
  const target = facade.containers.require(options.targetId);
  if (target.sandboxId !== sandbox.id) {
    throw fault("INVALID_ARGUMENT", `target container "${target.id}" is in another sandbox`);
  }
  if (target.state.kind === "running") return target.state.pid;
  throw fault(
    "FAILED_PRECONDITION",
    `target container "${target.id}" is not running: state is ${describeState(target.state)}`,
  );
}
