// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { fault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { nullIo } from "../../client/io/null-io.ts";
import type { Container, ExitHandle, Task } from "../../client/ports.ts";
import type { RunPodSandboxRequest } from "../../gen/cri.gen.ts";
import { watchSandbox } from "../container/exit-monitor.ts";
import { containerRecordInit } from "../container/oci-container.ts";
import type { Facade, Verb } from "../facade.ts";
import { type Handler, handlerFor, type PodHandler } from "../handlers.ts";
import { bothSettled } from "../lifecycle/both-settled.ts";
import type { Claim as Operation } from "../lifecycle/claim.ts";
import { newObjectId } from "../lifecycle/object-id.ts";
import { UndoStack } from "../lifecycle/undo.ts";
import type { UserMappings } from "../oci-spec/user-namespace.ts";
import { podMappings } from "../sandbox/pod-mappings.ts";
import { assertReachable } from "../sandbox/reachable.ts";
import { makeSandboxFiles, removeSandboxFiles } from "../sandbox/sandbox-files.ts";
import {
  netnsPathOf,
  networkRequest,
  type SandboxNetwork,
  type SandboxRecord,
  usesHostNetwork,
} from "../store/sandbox-record.ts";
import { purgeContainer } from "../task/purge-task.ts";
import { sandboxName, validSandboxConfig } from "../validate.ts";

/** The kubelet gives RunPodSandbox four minutes. */
const attemptMs = 240_000;

/** RunPodSandbox: answers once the pod's environment is networked and its task runs. */
export function runPodSandbox(facade: Facade): Verb<"RunPodSandbox"> {
  return async (request, call) => {
    const config = validSandboxConfig(request.config);
    const { features, config: settings } = facade.ports;
    const chosen = handlerFor(settings.runtime, request.runtimeHandler);
    const handler = { ...chosen, features: features(chosen.name) };
    const name = sandboxName(config.metadata);
    const finished = finishedSandbox(facade, name, request);
    if (finished) return { podSandboxId: finished.id };
    const attempt = (own: Cancellable): Promise<string> =>
      bringUp(facade, { name, config, handler, requested: request.runtimeHandler }, own);
    const podSandboxId = await facade.sandboxAttempts.run(name, request, attempt, call);
    return { podSandboxId };
  };
}

/** What an earlier attempt of the same name made, if the request is the same. */
function finishedSandbox(
  facade: Facade,
  name: string,
  request: RunPodSandboxRequest,
): SandboxRecord | undefined {
  const record = facade.sandboxes.byName(name);
  if (!record) return undefined;
  const isSame =
    record.runtimeHandler === request.runtimeHandler &&
    isDeepStrictEqual(record.config, request.config);
  if (isSame && record.state.kind === "ready") return record;
  const why = isSame ? "which is not ready" : "whose configuration differs";
  throw fault("ALREADY_EXISTS", `sandbox name "${name}" is held by sandbox "${record.id}", ${why}`);
}

interface Plan {
  readonly name: string;
  readonly config: SandboxRecord["config"];
  readonly handler: PodHandler;
  readonly requested: string;
}

async function bringUp(facade: Facade, plan: Plan, own: Cancellable): Promise<string> {
  using limit = deadline(attemptMs, `starting sandbox "${plan.name}"`, own.signal);
  using op = facade.operations.claim("RunPodSandbox", plan.name);
  const draft: SandboxRecord = {
    id: newObjectId(),
    name: plan.name,
    config: plan.config,
    runtimeHandler: plan.requested,
    handler: plan.handler,
    createdAtNanos: nowNanos(),
    cgroupsPath: "",
    network: { kind: "host" },
    state: { kind: "creating" },
  };
  await using undo = new UndoStack(facade.ports.log.child({ sandbox: draft.id }));
  const record = await prepare(facade, op, undo, draft, limit);
  const { container, cgroupsPath } = await recordBoth(facade, op, undo, { ...plan, record }, limit);
  const { made, ready } = await run(
    facade,
    op,
    { record: { ...record, cgroupsPath }, handler: plan.handler, container },
    limit,
  );
  facade.live.of(draft.id).container = container;
  facade.sandboxes.show(ready);
  undo.keep();
  watchSandbox(facade, draft.id, made.task, made.exit);
  facade.publish({ type: "created", containerId: draft.id, sandboxId: draft.id });
  facade.publish({ type: "started", containerId: draft.id, sandboxId: draft.id });
  return draft.id;
}

/**
 * Runs the task while CNI is still at work: the sandbox's own process has no use for the network, and
 * nothing else of the pod runs before RunPodSandbox has answered. The ready record is stored beside the
 * start; recovery takes a sandbox back of which only one of the two came to its end.
 */
async function run(
  facade: Facade,
  op: Operation,
  plan: {
    readonly record: SandboxRecord;
    readonly handler: Handler;
    readonly container: Container;
  },
  limit: Cancellable,
): Promise<{ readonly made: SandboxTask; readonly ready: SandboxRecord }> {
  const failure = new AbortController();
  const signal = AbortSignal.any([limit.signal, failure.signal]);
  const creating = createTask(facade, op, plan, plan.container, limit);
  const [made, ready] = await bothSettled(
    async () => {
      const made = await creating;
      await op.run("start", () => made.task.start(limit));
      return made;
    },
    async () => {
      const network = await setUpNetwork(facade, op, plan.record, { signal });
      const { pid } = (await creating).task;
      const ready: SandboxRecord = { ...plan.record, network, state: { kind: "ready", pid } };
      await op.run("store", () => facade.sandboxes.write(ready));
      return ready;
    },
    (error) => failure.abort(error),
  );
  return { made, ready };
}

/** Files and network namespace. */
async function prepare(
  facade: Facade,
  op: Operation,
  undo: UndoStack,
  draft: SandboxRecord,
  call: Cancellable,
): Promise<SandboxRecord> {
  const { ports, paths } = facade;
  const mappings = podMappings(facade, draft);
  if (mappings !== undefined) {
    await assertReachable(ports.config.state); // where its bundles are; all else is opened before it is entered
  }
  let record = draft;
  undo.add("record", () => settleFailed(facade, record, undo.failed));
  undo.add("files", () => removeSandboxFiles(draft.id, paths, ports));
  await bothSettled(
    () =>
      op.run("files", () =>
        makeSandboxFiles(draft, {
          paths,
          hostMounts: ports.hostMounts,
          hostname: ports.hostFacts.hostname,
          mappings,
        }),
      ),
    async () => {
      if (usesHostNetwork(draft.config)) return;
      record = await pinNetwork(facade, op, undo, { draft, mappings }, call);
    },
  );
  return record;
}

async function pinNetwork(
  facade: Facade,
  op: Operation,
  undo: UndoStack,
  { draft, mappings }: { draft: SandboxRecord; mappings: UserMappings | undefined },
  call: Cancellable,
): Promise<SandboxRecord> {
  const { netns, network } = facade.ports;
  const netnsPath = await op.run("netns", () => netns.create(draft.id, call, mappings));
  undo.add("netns", (own) => netns.remove(netnsPath, own));
  undo.add("network", (own) => network.teardown(networkRequest(draft, netnsPath), own));
  return { ...draft, network: { kind: "pending", netnsPath } };
}

async function setUpNetwork(
  facade: Facade,
  op: Operation,
  record: SandboxRecord,
  call: Cancellable,
): Promise<SandboxNetwork> {
  const { network } = record;
  if (network.kind !== "pending") return network;
  const { netnsPath } = network;
  const result = await op.run("network", () =>
    facade.ports.network.setup(networkRequest(record, netnsPath), call),
  );
  return { kind: "up", netnsPath, ...result };
}

/**
 * The two records, made durable together: ours, by which a crash's remains are found, and containerd's
 * with the spec. All before CNI: its plugins are programs, and starting them holds this thread up.
 */
async function recordBoth(
  facade: Facade,
  op: Operation,
  undo: UndoStack,
  plan: Plan & { readonly record: SandboxRecord },
  call: Cancellable,
): Promise<{ readonly container: Container; readonly cgroupsPath: string }> {
  const { ports, sandboxes } = facade;
  const { record, handler } = plan;
  const { id, config } = record;
  const built = await op.run("spec", () =>
    ports.specs.sandbox({
      id,
      config,
      netnsPath: netnsPathOf(record),
      handler: handler.config,
      features: handler.features,
      cri: ports.config.cri,
      host: ports.hostFacts,
      files: facade.paths.sandboxFiles(id),
      pauseRootfs: ports.pauseRootfs,
    }),
  );
  const { review } = ports;
  const spec =
    review === undefined
      ? built
      : await op.run("plugins", () => review.sandbox({ id, config, spec: built }, call));
  undo.add("task", (own) => purgeContainer(ports.client, id, undefined, own));
  const init = containerRecordInit({
    id,
    kind: "sandbox",
    labels: config.labels,
    image: ports.config.cri.sandboxImage,
    handler,
    spec,
    sandboxId: "",
  });
  const [container] = await op.run("records", () =>
    bothSettled(
      () => ports.client.newContainer(init, call),
      () => sandboxes.write(record),
    ),
  );
  return { container, cgroupsPath: spec.linux.cgroupsPath ?? "" };
}

interface SandboxTask {
  readonly task: Task;
  readonly exit: ExitHandle;
}

async function createTask(
  facade: Facade,
  op: Operation,
  { handler, record }: { readonly handler: Handler; readonly record: SandboxRecord },
  container: Container,
  call: Cancellable,
): Promise<SandboxTask> {
  const { ports } = facade;
  const isMapped = podMappings(facade, record) !== undefined;
  const rootfs = isMapped
    ? [{ type: "bind", source: ports.pauseRootfs, target: "", options: ["rbind", "ro"] }]
    : [];
  const task = await op.run("shim", () =>
    container.newTask({ io: nullIo, runtimePath: handler.config.shim, rootfs }, call),
  );
  return { task, exit: await task.wait({ signal: facade.lifetime }) };
}

/** The last step of undoing: the record goes, unless something is left that Remove must retry. */
async function settleFailed(
  facade: Facade,
  record: SandboxRecord,
  failed: readonly string[],
): Promise<void> {
  facade.live.delete(record.id);
  if (failed.length === 0) return facade.sandboxes.delete(record.id);
  const reason = `its start failed and could not be undone: ${failed.join(", ")}`;
  const networkLeft = failed.includes("network") || failed.includes("netns");
  return facade.sandboxes.put({
    ...record,
    network: record.network.kind === "pending" && !networkLeft ? { kind: "down" } : record.network,
    state: { kind: "notReady", reason },
  });
}
