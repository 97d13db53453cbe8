// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { setImmediate as loopTurn } from "node:timers/promises";
import { fault, isFault } from "../../../src/base/errors.ts";
import { createImageService } from "../../../src/cri/image-service/image-service.ts";
import { PodFacts } from "../../../src/events/pod-facts.ts";
import type { ServiceName } from "../../../src/rpc/service.ts";
import { methodsOf, type ServiceMethod } from "../../../src/rpc/service-methods.ts";
import { busybox, containerConfig, FakeWorld } from "../../support/cri/fake-world.ts";
import { ByteSource } from "../byte-source.ts";
import { randomMessage, requestName } from "../random-message.ts";
import { scratchFolder } from "../scratch-folder.ts";
import { mixedSeeds } from "../support/mixed-seeds.ts";
import { asSent, checkAnswer, decodedRequest, type Handler } from "../support/service-calls.ts";
import { type FuzzTarget, refused } from "../target.ts";

const services = [
  "runtime.v1.RuntimeService",
  "runtime.v1.ImageService",
] as const satisfies readonly ServiceName[];
const methods = services.flatMap((service) =>
  methodsOf(service).map((method) => ({ method, service })),
);
/** What makes something comes oftener: the rest has more to do then. */
const makers = methods.filter(({ method }) =>
  /^(?:RunPodSandbox|CreateContainer)$/.test(method.name),
);
const choices = [...methods, ...Array.from({ length: 8 }, () => makers).flat()];
const codes = [
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "FAILED_PRECONDITION",
  "ALREADY_EXISTS",
  "UNIMPLEMENTED",
  "OUT_OF_RANGE",
  "RESOURCE_EXHAUSTED",
  "UNAVAILABLE",
  "ABORTED",
  "DEADLINE_EXCEEDED",
  "CANCELLED",
] as const;
/**
 * Calls of both CRI services, one after another, on a pod with a container: messages that are valid by their
 * descriptors, and any bytes. Each is answered or refused in words; what was accepted is told again as it was given,
 * also after a restart.
 */
export const target: FuzzTarget = {
  name: "cri-requests",
  parses: [
    "src/rpc/codec.ts",
    "src/cri/validate.ts",
    "src/cri/config-limits.ts",
    "src/cri/convert/container.ts",
    "src/cri/convert/sandbox.ts",
    "src/cri/convert/select-records.ts",
    "src/cri/convert/verbose-json.ts",
    "src/cri/image-service/image-status.ts",
    "src/cri/store/container-record.ts",
    "src/cri/store/sandbox-record.ts",
    "src/cri/store/record-store.ts",
    "src/cri/runtime-service/attach.ts",
    "src/cri/runtime-service/container-checkpoint.ts",
    "src/cri/runtime-service/container-create.ts",
    "src/cri/runtime-service/container-events.ts",
    "src/cri/runtime-service/container-list.ts",
    "src/cri/runtime-service/container-remove.ts",
    "src/cri/runtime-service/container-start.ts",
    "src/cri/runtime-service/container-stats.ts",
    "src/cri/runtime-service/container-status.ts",
    "src/cri/runtime-service/container-stop.ts",
    "src/cri/runtime-service/container-update.ts",
    "src/cri/runtime-service/exec-sync.ts",
    "src/cri/runtime-service/exec.ts",
    "src/cri/runtime-service/log-reopen.ts",
    "src/cri/runtime-service/port-forward.ts",
    "src/cri/runtime-service/runtime-config.ts",
    "src/cri/runtime-service/sandbox-list.ts",
    "src/cri/runtime-service/sandbox-metrics.ts",
    "src/cri/runtime-service/sandbox-remove.ts",
    "src/cri/runtime-service/sandbox-run.ts",
    "src/cri/runtime-service/sandbox-stats.ts",
    "src/cri/runtime-service/sandbox-status.ts",
    "src/cri/runtime-service/sandbox-stop.ts",
    "src/cri/runtime-service/sandbox-update.ts",
    "src/cri/runtime-service/status.ts",
    "src/cri/runtime-service/version.ts",
  ],
  dictionary: [
    "\x0a",
    "\x12",
    "\x1a",
    "\x22",
    "\xff\xff\xff\xff\x0f",
    "default",
    "__proto__",
    "busybox",
  ],
  maxBytes: 1024,
  seeds: () => mixedSeeds(12, 400),
  run: async (input) => {
    const source = new ByteSource(input);
    await using world = await FakeWorld.create();
    world.runtime.streamThrough(fakeStreaming);
    const pod = await world.runPod();
    const container = await world.startedContainer(pod);
    world.execOutput = { stdout: "out", stderr: "err" };
    const known = [pod, container, pod.slice(0, 5), "busybox", busybox.id, ""];
    for (let calls = 0; calls < 5 && source.left > 0; calls += 1)
      await oneCall(world, source, known);
    await checkLists(world);
  },
};

async function oneCall(world: FakeWorld, source: ByteSource, known: string[]): Promise<void> {
  const { method, service } = source.pick(choices);
  const name = requestName(method.service, method.name);
  // Any bytes could name any place of the disk to write to.
  const isDrawn = source.below(4) > 0 || method.name === "CheckpointContainer";
  const request = isDrawn
    ? drawn(source, method, name, known)
    : decodedRequest(source, method, 200);
  if (request === undefined) return;
  const handler = handlerOf(world, service, method.name);
  assert.ok(handler, method.name);
  const abort = new AbortController();
  const call = { signal: abort.signal, namespace: undefined, headers: {} };
  const timer = setTimeout(() => abort.abort(fault("DEADLINE_EXCEEDED", "too slow")), 5_000);
  try {
    const answers =
      method.kind === "unary"
        ? [await handler(request, call)]
        : await collect(handler(request, call), abort);
    for (const answer of answers) checkAnswer(method, answer);
    if (answers.length === 1) await checkEcho(world, method.name, request, answers[0], known);
  } catch (error) {
    if (abort.signal.aborted && method.name === "GetContainerEvents") return;
    refused(isFault(error) ? asSent(error) : error, ...codes);
  } finally {
    clearTimeout(timer);
  }
}

function handlerOf(world: FakeWorld, service: ServiceName, name: string): Handler | undefined {
  const impl = service === "runtime.v1.RuntimeService" ? world.runtime.service : imageService;
  return (impl as Readonly<Record<string, Handler | undefined>>)[name];
}

const imageService = createImageService({
  images: {
    find: (name) => (["busybox", busybox.id].includes(name) ? busybox : undefined),
    list: () => [busybox],
    pull: async (name) => {
      if (name === "busybox") return busybox;
      throw fault("NOT_FOUND", "no such image");
    },
    unpack: async () => {},
    load: async () => [],
    remove: async () => {},
    released: () => {},
    usage: async () => [{ folder: "/", bytes: 1n, inodes: 2n }],
  },
  facts: new PodFacts(),
  transferOf: () => undefined,
  profiles: {
    list: () => [],
    pull: async () => ({ cached: false }),
    read: async () => Buffer.from("{}"),
    remove: async () => {},
  },
  inspect: async () => "{}",
});

const url = async (): Promise<string> => "http://127.0.0.1:1/token";
const fakeStreaming = {
  address: "127.0.0.1:1",
  exec: url,
  attach: url,
  portForward: url,
  [Symbol.asyncDispose]: async () => {},
};

/** What goes over a wire, so that it is complete as the server makes it. */
function drawn(
  source: ByteSource,
  method: ServiceMethod,
  name: string,
  known: readonly string[],
): unknown {
  const text = (field: string): string | undefined => {
    if (field === "location")
      return source.pick([
        `${scratchFolder("cri-requests")}/out`,
        "relative",
        scratchFolder("cri-requests"),
        `${scratchFolder("cri-requests")}/none/x`,
      ]);
    const isId = /^(?:id|podSandboxId|containerId|image)$/.test(field);
    return isId && source.below(8) > 0 ? source.pick(known) : undefined;
  };
  const message = randomMessage(source, name, text);
  if (method.name === "CreateContainer" && source.below(4) > 0) {
    message["podSandboxId"] = known[0];
    message["config"] = { ...containerConfig(), ...(message["config"] as object | undefined) };
  }
  if (method.name === "RunPodSandbox" && source.below(4) > 0) {
    const metadata = {
      name: source.pick(["w", "x"]),
      namespace: "n",
      uid: "1",
      attempt: source.below(2),
    };
    message["config"] = {
      ...(message["config"] as object | undefined),
      metadata,
      logDirectory: "/var/log/x",
    };
    message["runtimeHandler"] = source.pick(["", "runc", "crun", "none"]);
  }
  return method.request.decode(method.request.encode(message));
}

async function collect(answers: unknown, abort: AbortController): Promise<unknown[]> {
  const all: unknown[] = [];
  void loopTurn().then(async () => {
    await loopTurn();
    abort.abort(new Error("enough"));
  });
  try {
    for await (const answer of answers as AsyncIterable<unknown>) {
      all.push(answer);
      if (all.length === 20) break;
    }
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  }
  return all;
}

type Facts = {
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly metadata?: unknown;
};
type Config = { readonly config?: Facts | null };

/** A pod and a container tell their labels, annotations and names as they were given. */
async function checkEcho(
  world: FakeWorld,
  name: string,
  request: unknown,
  answer: unknown,
  known: string[],
): Promise<void> {
  if (name === "RunPodSandbox") {
    const { podSandboxId } = answer as { podSandboxId: string };
    known.push(podSandboxId);
    const { status } = await world.call("PodSandboxStatus", { podSandboxId });
    return checkSame(status as Facts, request);
  }
  if (name !== "CreateContainer") return;
  const { containerId } = answer as { containerId: string };
  known.push(containerId);
  const { status } = await world.call("ContainerStatus", { containerId });
  checkSame(status as Facts, request);
}

function checkSame(told: Facts, request: unknown): void {
  const { config } = request as Config;
  assert.ok(config);
  for (const part of ["labels", "annotations", "metadata"] as const)
    assert.deepEqual(plain(told[part]), plain(config[part]), part);
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? {}));

/** Lists hold together, and a restart changes nothing in them. */
async function checkLists(world: FakeWorld): Promise<void> {
  const before = await lists(world);
  await world.restart();
  assert.deepEqual(await lists(world), before, "after a restart");
}

async function lists(world: FakeWorld): Promise<unknown> {
  const pods = (await world.call("ListPodSandbox", {})).items ?? [];
  const containers = (await world.call("ListContainers", {})).containers ?? [];
  const ids = [...pods, ...containers].map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const { podSandboxId } of containers) assert.ok(pods.some(({ id }) => id === podSandboxId));
  const names = pods.map(({ metadata }) => JSON.stringify(metadata));
  assert.equal(new Set(names).size, names.length, "two pods of one name");
  for (const { id = "" } of containers)
    await world.call("ContainerStatus", { containerId: id, verbose: true });
  for (const { id = "" } of pods)
    await world.call("PodSandboxStatus", { podSandboxId: id, verbose: true });
  return plain(
    [pods, containers].map((list) =>
      list.map(({ id, labels, annotations, metadata, createdAt }) => ({
        id,
        labels,
        annotations,
        metadata,
        createdAt: String(createdAt),
      })),
    ),
  );
}
