// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setImmediate as loopTurn } from "node:timers/promises";
import { isFault } from "../../../src/base/errors.ts";
import { removeFolderSync } from "../../../src/base/remove-folder.ts";
import type { CallContext, ServiceImpl, ServiceName } from "../../../src/rpc/service.ts";
import { methodsOf, type ServiceMethod } from "../../../src/rpc/service-methods.ts";
import { faultAtBoundary } from "../../../src/rpc/status.ts";
import { createContentService } from "../../../src/services/content-service.ts";
import { createHealthService } from "../../../src/services/health-service.ts";
import { createImagesService } from "../../../src/services/images-service.ts";
import { createIntrospectionService } from "../../../src/services/introspection-service.ts";
import { createLeasesService } from "../../../src/services/leases-service.ts";
import { createSnapshotsService } from "../../../src/services/snapshots-service.ts";
import { createVersionService } from "../../../src/services/version-service.ts";
import { containerInit, fakeServices } from "../../support/services.ts";
import { makeStores } from "../../support/stores.ts";
import { testTrees } from "../../support/trees.ts";
import { ByteSource } from "../byte-source.ts";
import { randomMessage, requestName } from "../random-message.ts";
import { scratchFolder } from "../scratch-folder.ts";
import { mixedSeeds } from "../support/mixed-seeds.ts";
import { asSent, checkAnswer, decodedRequest, type Handler } from "../support/service-calls.ts";
import { type FuzzTarget, refused } from "../target.ts";

const names = [
  "containerd.services.tasks.v1.Tasks",
  "containerd.services.containers.v1.Containers",
  "containerd.services.namespaces.v1.Namespaces",
  "containerd.services.events.v1.Events",
  "containerd.services.content.v1.Content",
  "containerd.services.images.v1.Images",
  "containerd.services.leases.v1.Leases",
  "containerd.services.snapshots.v1.Snapshots",
  "containerd.services.introspection.v1.Introspection",
  "containerd.services.version.v1.Version",
  "grpc.health.v1.Health",
] as const satisfies readonly ServiceName[];
const methods = names.flatMap((service) =>
  methodsOf(service).map((method) => ({ service, method })),
);
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
  "PERMISSION_DENIED",
] as const;
/** What makes something comes oftener: the rest has more to do then. */
const makers = methods.filter(({ method }) => /(?:Tasks|Containers)\/Create$/.test(method.path));
const choices = [...methods, ...Array.from({ length: 6 }, () => makers).flat()];
const digest = `sha256:${"a".repeat(64)}`;
const known = ["c1", "t1", "ns", digest, "native", "i1", "l1", "s1", "s2", ""];
/** Who calls the fake runtime with these gives it what it makes files of. */
const places = new Set(["stdin", "stdout", "stderr"]);
const trees = testTrees();

/**
 * Calls of containerd's services, one after another: messages that are valid by their descriptors, and any bytes, in any
 * namespace. Each is answered or refused in words, lists go on, and nothing is written but in the stores' folders.
 */
export const target: FuzzTarget = {
  name: "containerd-requests",
  parses: [
    "src/rpc/codec.ts",
    "src/metadata/leases.ts",
    "src/content/content-store.ts",
    "src/services/content-read.ts",
    "src/services/content-service.ts",
    "src/services/content-write.ts",
    "src/services/image-message.ts",
    "src/services/images-service.ts",
    "src/services/leases-service.ts",
    "src/services/snapshots-service.ts",
    "src/services/updated-labels.ts",
    "src/checkpoint/checkpoint-archive.ts",
    "src/tasks/checkpoint-content.ts",
    "src/tasks/checkpoint-task.ts",
    "src/services/container-record.ts",
    "src/services/containers-service.ts",
    "src/tasks/create-task.ts",
    "src/tasks/delete-task.ts",
    "src/tasks/exec-process.ts",
    "src/rpc/field-mask.ts",
    "src/tasks/freeze-and-update.ts",
    "src/services/health-service.ts",
    "src/tasks/inspect-tasks.ts",
    "src/services/introspection-service.ts",
    "src/services/namespaces-service.ts",
    "src/rpc/required-namespace.ts",
    "src/tasks/run-process.ts",
    "src/tasks/task-lookup.ts",
    "src/tasks/task-metrics.ts",
    "src/tasks/tasks-service.ts",
    "src/services/version-service.ts",
  ],
  dictionary: [
    "containerd.io/gc.root",
    "labels.x",
    "sha256:",
    "../",
    "__proto__",
    "native",
    "\x0a\x02c1",
    "\x12",
  ],
  maxBytes: 1024,
  seeds: () => mixedSeeds(16, 300),
  run: async (input) => {
    const source = new ByteSource(input);
    const top = scratchFolder("containerd-requests");
    writeFileSync(path.join(top, "canary"), "alive");
    const folder = path.join(top, "stores");
    mkdirSync(folder);
    const garbage = new AsyncDisposableStack();
    try {
      const services = await makeServices(folder, garbage);
      await makeContainer(services);
      for (let calls = 0; calls < 6 && source.left > 0; calls += 1) await oneCall(services, source);
      await checkLists(services);
    } finally {
      await garbage.disposeAsync();
      for (const one of readdirSync(folder))
        await trees.remover.settled(path.join(folder, one), { signal: AbortSignal.timeout(5000) });
      removeFolderSync(folder);
    }
    assert.deepEqual(readdirSync(top), ["canary"]);
    assert.equal(readFileSync(path.join(top, "canary"), "utf8"), "alive");
    assert.ok(!existsSync("/nonexistent"));
  },
};

type Services = Readonly<
  Record<(typeof names)[number], Readonly<Record<string, Handler | undefined>>>
>;

async function makeServices(folder: string, ending: AsyncDisposableStack): Promise<Services> {
  const checkpointDir = path.join(folder, "checkpoints");
  const fakes = fakeServices({ checkpointDir });
  const stores = await makeStores(folder, { metadata: fakes.metadata, trees });
  ending.use(stores.garbage);
  const ports = { ...stores, events: fakes.exchange, onChange: async () => {} };
  const all: { readonly [S in (typeof names)[number]]: ServiceImpl<S> } = {
    "containerd.services.tasks.v1.Tasks": fakes.tasks,
    "containerd.services.containers.v1.Containers": fakes.containers,
    "containerd.services.namespaces.v1.Namespaces": fakes.namespaces,
    "containerd.services.events.v1.Events": fakes.events,
    "containerd.services.content.v1.Content": createContentService(ports),
    "containerd.services.images.v1.Images": createImagesService(ports),
    "containerd.services.leases.v1.Leases": createLeasesService(ports),
    "containerd.services.snapshots.v1.Snapshots": createSnapshotsService(ports),
    "containerd.services.introspection.v1.Introspection": createIntrospectionService({
      plugins: () => [],
      uuid: "u",
    }),
    "containerd.services.version.v1.Version": createVersionService({ version: "1", revision: "r" }),
    "grpc.health.v1.Health": createHealthService(),
  };
  return all as unknown as Services;
}

/** Most that is asked is asked of some container. */
async function makeContainer(services: Services): Promise<void> {
  const { request } = methodNamed("containerd.services.containers.v1.Containers", "Create");
  const call = { signal: new AbortController().signal, namespace: "ns", headers: {} };
  const create = services["containerd.services.containers.v1.Containers"]["Create"];
  await create?.(request.normalize({ container: containerInit("c1") }), call);
}

function methodNamed(service: ServiceName, name: string): ServiceMethod {
  const found = methodsOf(service).find((method) => method.name === name);
  assert.ok(found);
  return found;
}

async function oneCall(services: Services, source: ByteSource): Promise<void> {
  const { service, method } = source.pick(choices);
  const handler = services[service][method.name];
  if (handler === undefined) return; // UNIMPLEMENTED
  const isTasks = service === "containerd.services.tasks.v1.Tasks";
  // Any bytes could name files for the fake runtime to write to.
  const isDrawn = source.below(4) > 0 || isTasks;
  const namespace = source.pick(["ns", "ns", "ns", "other", "", "..", "../../x", "a b"]);
  const abort = new AbortController();
  const lease = source.pick([undefined, "l1", "none", "../l"]);
  const call: CallContext = {
    signal: abort.signal,
    namespace: namespace || undefined,
    headers: lease === undefined ? {} : { "containerd-lease": lease },
  };
  const make = (): unknown =>
    isDrawn ? drawn(source, method) : decodedRequest(source, method, 160);
  const first = make();
  if (first === undefined) return;
  const request =
    method.kind === "bidi" ? streamOf([first, ...source.list(3, make).filter(Boolean)]) : first;
  try {
    const answer = handler(request, call);
    const answers = method.kind === "unary" ? [await answer] : await collect(answer, abort);
    for (const one of answers) checkAnswer(method, one);
    if (method.path.endsWith("Containers/Create")) checkContainer(first, answers[0]);
  } catch (error) {
    if (abort.signal.aborted || isOfFake(error)) return;
    if (error instanceof assert.AssertionError) throw error;
    refused(asSent(faultAtBoundary(error)), ...codes);
  }
}

function drawn(source: ByteSource, method: ServiceMethod): unknown {
  const text = (field: string): string | undefined => {
    if (places.has(field)) return "";
    if (field === "type_url")
      return source.pick([
        "",
        "x",
        "containerd.runc.v1.Options",
        "types.containerd.io/opencontainers/runtime-spec/1/Spec",
      ]);
    return source.below(4) > 0 ? source.pick(known) : undefined;
  };
  const message = randomMessage(source, requestName(method.service, method.name), text);
  if (method.path.endsWith("Tasks/Create") && source.bool()) {
    message["containerId"] = "c1";
    const value = source.bytes(6);
    message["options"] = { type_url: "containerd.runc.v1.Options", value };
  }
  if (method.path.endsWith("Containers/Create") && source.below(4) > 0) {
    const { container } = message as { container?: object };
    message["container"] = {
      ...container,
      ...containerInit(source.pick(["c1", "t1"])),
      labels: { a: source.text(8) },
    };
  }
  return method.request.decode(method.request.encode(message));
}

async function* streamOf(messages: readonly unknown[]): AsyncGenerator {
  yield* messages;
}

async function collect(answers: unknown, abort: AbortController): Promise<unknown[]> {
  const all: unknown[] = [];
  const ending = (async () => {
    for (let turns = 0; turns < 200; turns += 1) await loopTurn();
    abort.abort(new Error("enough"));
  })();
  for await (const answer of answers as AsyncIterable<unknown>) if (all.push(answer) === 20) break;
  void ending;
  return all;
}

type Stored = {
  readonly container?: {
    readonly id: string;
    readonly labels: unknown;
    readonly spec: unknown;
    readonly image: string;
  };
};

function checkContainer(request: unknown, answer: unknown): void {
  const [given, stored] = [(request as Stored).container, (answer as Stored).container];
  assert.ok(given && stored);
  for (const part of ["id", "labels", "spec", "image"] as const)
    assert.deepEqual(stored[part], given[part], part);
}

/** A fake that cannot run a spec fails in its own way. */
function isOfFake(error: unknown): boolean {
  return (
    error instanceof Error &&
    !isFault(error) &&
    /fake-runtime\.ts/.test(error.stack?.split("\n").slice(0, 4).join("") ?? "")
  );
}

async function checkLists(services: Services): Promise<void> {
  const call = { signal: new AbortController().signal, namespace: "ns", headers: {} };
  const unary = [
    "containers.v1.Containers",
    "namespaces.v1.Namespaces",
    "images.v1.Images",
    "leases.v1.Leases",
    "tasks.v1.Tasks",
  ] as const;
  for (const name of unary) {
    const service = `containerd.services.${name}` as (typeof names)[number];
    const list = methodNamed(service, "List");
    list.response.encode(
      await services[service]["List"]?.(list.request.decode(Buffer.alloc(0)), call),
    );
  }
  for (const service of [
    "containerd.services.content.v1.Content",
    "containerd.services.snapshots.v1.Snapshots",
  ] as const) {
    const list = methodNamed(service, "List");
    const handler = services[service]["List"];
    assert.ok(handler);
    const named = service.endsWith("Content") ? {} : { snapshotter: "native" };
    const answers = handler(list.request.normalize(named), call) as AsyncIterable<unknown>;
    for await (const one of answers) list.response.encode(one);
  }
}
