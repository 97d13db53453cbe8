// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { nullIo } from "../../client/io/null-io.ts";
import type { Container } from "../../client/ports.ts";
import type { RunPodSandboxRequest } from "../../gen/cri.gen.ts";
import { sandboxRuntimeName } from "../../oci/sandbox-runtime-name.ts";
import { type Watched, type WatchSandboxNeeds, watchSandbox } from "../container/exit-monitor.ts";
import { containerRecordInit } from "../container/oci-container.ts";
import { handlerFor, type PodHandler } from "../handlers/handlers.ts";
import { bothSettled } from "../lifecycle/both-settled.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { UserMappings } from "../oci-spec/user-namespace.ts";
import type { CriParts } from "../parts.ts";
import { type HandlerNeeds, podMappings } from "../sandbox/pod-handler.ts";
import { assertReachable } from "../sandbox/reachable.ts";
import {
  makeSandboxFiles,
  type RemoveFilesNeeds,
  removeSandboxFiles,
} from "../sandbox/sandbox-files.ts";
import { sandboxRuntime } from "../sandbox/sandbox-runtime.ts";
import { reviewSandbox } from "../spec-review.ts";
import { newObjectId } from "../store/record-store.ts";
import {
  netnsPathOf,
  networkRequest,
  type SandboxNetwork,
  type SandboxRecord,
  usesHostNetwork,
} from "../store/sandbox-record.ts";
import { purgeContainer } from "../task/purge-task.ts";
import { sandboxName, validSandboxConfig } from "../validate.ts";
import type { Verb } from "./verb.ts";

export type RunPodSandboxNeeds = WatchSandboxNeeds &
  HandlerNeeds &
  RemoveFilesNeeds &
  Pick<
    CriParts,
    "client" | "config" | "defaultRuntime" | "features" | "hostFacts" | "hostMounts" | "netns"
  > &
  Pick<
    CriParts,
    "logs" | "network" | "nri" | "operations" | "paths" | "pauseRootfs" | "reviewers" | "specs"
  >;

type Needs = RunPodSandboxNeeds;

/** The kubelet gives RunPodSandbox four minutes. */
const attemptMs = 240_000;

/** RunPodSandbox: answers once the pod's environment is networked and its task runs. */
export function runPodSandbox(parts: Needs): Verb<"RunPodSandbox"> {
  return async (request, call) => {
    const draft = await draftOf(parts, request, call);
    const { id, name } = draft;
    if (parts.operations.isRunning("RestorePod", name)) {
      throw fault("ALREADY_EXISTS", `sandbox name "${name}" is being restored from a checkpoint`);
    }
    const finished = finishedSandbox(parts, name, request);
    if (finished) return { podSandboxId: finished.id };
    const podSandboxId = await parts.operations.perform(
      {
        rpc: "RunPodSandbox",
        object: name,
        joins: { request },
        limit: { ms: attemptMs, what: `starting sandbox "${name}"` },
        facts: { sandbox: id },
      },
      call,
      (op) => bringUp(parts, op, draft),
    );
    return { podSandboxId };
  };
}

/**
 * Makes a pod as a part of another operation: nobody joins it, it ends with `call`, and has taken back what it did when
 * it rejects. ALREADY_EXISTS when the name is held, or is being made.
 */
export async function startSandbox(
  parts: Needs,
  request: RunPodSandboxRequest,
  call: Cancellable,
): Promise<string> {
  const draft = await draftOf(parts, request, call);
  const { id, name } = draft;
  const held = parts.sandboxes.byName(name) || parts.operations.isRunning("RunPodSandbox", name);
  if (held) throw fault("ALREADY_EXISTS", `sandbox name "${name}" is held by another sandbox`);
  return parts.operations.perform(
    {
      rpc: "RunPodSandbox",
      object: name,
      limit: { ms: attemptMs, what: `starting sandbox "${name}"` },
      facts: { sandbox: id },
    },
    call,
    (op) => bringUp(parts, op, draft),
  );
}

/** A sandbox that is being made. */
interface Draft extends SandboxRecord {
  readonly handler: PodHandler;
}

async function draftOf(
  parts: Pick<Needs, "config" | "defaultRuntime" | "features">,
  request: RunPodSandboxRequest,
  call: Cancellable,
): Promise<Draft> {
  const config = validSandboxConfig(request.config);
  return {
    id: newObjectId(),
    name: sandboxName(config.metadata),
    config,
    runtimeHandler: request.runtimeHandler,
    handler: await newHandler(parts, request.runtimeHandler, call),
    createdAtNanos: nowNanos(),
    cgroupsPath: "",
    network: { kind: "host" },
    state: { kind: "creating" },
  };
}

async function newHandler(
  { config, defaultRuntime, features }: Pick<Needs, "config" | "defaultRuntime" | "features">,
  requested: string,
  call: Cancellable,
): Promise<PodHandler> {
  if (requested === "" && defaultRuntime !== undefined) return defaultRuntime.forNewPod(call);
  const handler = handlerFor(config.runtime, requested);
  return { ...handler, features: features(handler.name) };
}

/** What an earlier attempt of the same name made, if the request is the same. */
function finishedSandbox(
  { sandboxes }: Pick<Needs, "sandboxes">,
  name: string,
  request: RunPodSandboxRequest,
): SandboxRecord | undefined {
  const record = sandboxes.byName(name);
  if (!record) return undefined;
  const isSame =
    record.runtimeHandler === request.runtimeHandler &&
    isDeepStrictEqual(record.config, request.config);
  if (isSame && record.state.kind === "ready") return record;
  const why = isSame ? "which is not ready" : "whose configuration differs";
  throw fault("ALREADY_EXISTS", `sandbox name "${name}" is held by sandbox "${record.id}", ${why}`);
}

async function bringUp(parts: Needs, op: Operation, draft: Draft): Promise<string> {
  const { id } = draft;
  const networked = await prepare(parts, op, draft);
  const { container, record } = await recordBoth(parts, op, networked);
  const { ready, isStored, ...watched } = await run(parts, op, record, container);
  parts.liveSandboxes.of(id).keep(container);
  using _pending = await parts.nri.podRuns(op, ready);
  if (!isStored) await op.run("store", () => parts.sandboxes.write(ready));
  parts.sandboxes.show(ready);
  op.keep();
  parts.logs.prepare();
  watchSandbox(parts, id, watched);
  parts.events.publish({ type: "created", containerId: id, sandboxId: id });
  parts.events.publish({ type: "started", containerId: id, sandboxId: id });
  return id;
}

/** Files and network namespace. */
async function prepare(parts: Needs, op: Operation, draft: Draft): Promise<Draft> {
  const mappings = podMappings(parts, draft);
  if (mappings !== undefined) {
    await assertReachable(parts.config.state); // where its bundles are; all else is opened before it is entered
  }
  let record = draft;
  op.undo("record", (_call, { failed }) => settleFailed(parts, record, failed));
  op.undo("files", () => removeSandboxFiles(parts, draft.id));
  const { paths, hostMounts, hostFacts } = parts;
  const options = { paths, hostMounts, hostname: hostFacts.hostname, mappings };
  await bothSettled(
    () => op.run("files", () => makeSandboxFiles(draft, options)),
    async () => {
      if (usesHostNetwork(draft.config)) return;
      record = await pinNetwork(parts, op, draft, mappings);
    },
  );
  return record;
}

async function pinNetwork(
  { netns, network }: Pick<Needs, "netns" | "network">,
  op: Operation,
  draft: Draft,
  mappings: UserMappings | undefined,
): Promise<Draft> {
  const netnsPath = await op.run("netns", () => netns.create(draft.id, op, mappings));
  op.undo("netns", (call) => netns.remove(netnsPath, call));
  op.undo("network", (call) => network.teardown(networkRequest(draft, netnsPath), call));
  return { ...draft, network: { kind: "pending", netnsPath } };
}

/**
 * The two records, made durable together: ours, by which a crash's remains are found, and containerd's
 * with the spec. All before CNI: its plugins are programs, and starting them holds this thread up.
 */
async function recordBoth(
  parts: Needs,
  op: Operation,
  record: Draft,
): Promise<{ readonly container: Container; readonly record: Draft }> {
  const { client, config: settings, reviewers, sandboxes, specs } = parts;
  const { id, config, handler } = record;
  const built = await op.run("spec", () =>
    specs.sandbox({
      id,
      config,
      netnsPath: netnsPathOf(record),
      handler: handler.config,
      features: handler.features,
      cri: settings.cri,
      host: parts.hostFacts,
      files: parts.paths.sandboxFiles(id),
      pauseRootfs: parts.pauseRootfs,
    }),
  );
  const { spec, changes } = await reviewSandbox(reviewers, { id, config, spec: built }, op);
  const runtime = sandboxRuntime(settings.cri, handler, spec);
  // The root of a user namespace gets no further than its bundle: what its OCI runtime needs is mounted there.
  if (inBundle(parts, record, runtime)) spec.root.path = "rootfs";
  op.undo("task", (call) => purgeContainer(client, id, undefined, call));
  const init = containerRecordInit({
    id,
    kind: "sandbox",
    labels: config.labels,
    image: settings.cri.sandboxImage,
    handler,
    runtime,
    spec,
    sandboxId: "",
  });
  const [container] = await op.run("records", () =>
    bothSettled(
      () => client.newContainer(init, op),
      () => sandboxes.write(record),
    ),
  );
  const cgroupsPath = spec.linux.cgroupsPath ?? "";
  return { container, record: { ...record, cgroupsPath, ...(changes.length > 0 && { changes }) } };
}

/**
 * Runs the task while CNI is still at work: the sandbox's own process has no use for the network, and
 * nothing else of the pod runs before RunPodSandbox has answered. The ready record is stored beside the
 * start; recovery takes a sandbox back of which only one of the two came to its end. While plugins of NRI can still refuse
 * the pod it is not stored as ready: were the daemon to die then, recovery would keep it.
 */
async function run(
  parts: Needs,
  op: Operation,
  record: Draft,
  container: Container,
): Promise<Watched & { readonly ready: SandboxRecord; readonly isStored: boolean }> {
  const failure = new AbortController();
  const signal = AbortSignal.any([op.signal, failure.signal]);
  const creating = createTask(parts, op, record, container);
  const [made, end] = await bothSettled(
    async () => {
      const made = await creating;
      await op.run("start", () => made.task.start(op));
      return made;
    },
    async () => {
      const network = await setUpNetwork(parts, op, record, { signal });
      const { pid } = (await creating).task;
      const ready: SandboxRecord = { ...record, network, state: { kind: "ready", pid } };
      const isStored = !parts.nri.active;
      if (isStored) await op.run("store", () => parts.sandboxes.write(ready));
      return { ready, isStored };
    },
    (error) => failure.abort(error),
  );
  return { ...made, ...end };
}

async function setUpNetwork(
  { network: pods }: Pick<Needs, "network">,
  op: Operation,
  record: SandboxRecord,
  call: Cancellable,
): Promise<SandboxNetwork> {
  const { network } = record;
  if (network.kind !== "pending") return network;
  const { netnsPath } = network;
  const result = await op.run("network", () => pods.setup(networkRequest(record, netnsPath), call));
  return { kind: "up", netnsPath, ...result };
}

async function createTask(
  parts: Needs,
  op: Operation,
  record: Draft,
  container: Container,
): Promise<Watched> {
  const rootfs = inBundle(parts, record, container.record.runtime?.name ?? "")
    ? [{ type: "bind", source: parts.pauseRootfs, target: "", options: ["rbind", "ro"] }]
    : [];
  const runtimePath = record.handler.config.shim;
  const task = await op.run("shim", () =>
    container.newTask({ io: nullIo, runtimePath, rootfs }, op),
  );
  return { task, exit: await task.wait({ signal: parts.lifetime }) };
}

/** Whether a sandbox's root file system has to be in its bundle. */
function inBundle(parts: HandlerNeeds, record: Draft, runtime: string): boolean {
  return runtime !== sandboxRuntimeName && podMappings(parts, record) !== undefined;
}

/** The last step of undoing: the record goes, unless something is left that Remove must retry. */
async function settleFailed(
  { liveSandboxes, sandboxes }: Pick<Needs, "liveSandboxes" | "sandboxes">,
  record: SandboxRecord,
  failed: readonly string[],
): Promise<void> {
  liveSandboxes.delete(record.id);
  if (failed.length === 0) return sandboxes.delete(record.id);
  const reason = `its start failed and could not be undone: ${failed.join(", ")}`;
  const networkLeft = failed.includes("network") || failed.includes("netns");
  return sandboxes.put({
    ...record,
    network: record.network.kind === "pending" && !networkLeft ? { kind: "down" } : record.network,
    state: { kind: "notReady", reason },
  });
}
