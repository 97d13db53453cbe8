// SPDX-License-Identifier: Apache-2.0
// Debian's ctr on our socket, over a fake runtime: what it asks for and how it takes our answers.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { plugin } from "../../../src/plugin/plugin.ts";
import { PluginRegistry } from "../../../src/plugin/registry.ts";
import { connectGrpc } from "../../../src/rpc/grpc-client.ts";
import { GrpcServer } from "../../../src/rpc/grpc-server.ts";
import { createIntrospectionService } from "../../../src/services/introspection-service.ts";
import { createVersionService } from "../../../src/services/version-service.ts";
import { lacking } from "../../support/lacking.ts";
import { must, type RunResult, run } from "../../support/run.ts";
import { scratch } from "../../support/scratch.ts";
import { containerInit, type FakeServices, fakeServices } from "../../support/services.ts";

const skip = lacking("ctr");
const uuid = "00000000-1111-2222-3333-444444444444";

interface Bench extends AsyncDisposable {
  readonly socket: string;
  readonly fakes: FakeServices;
  /** Every method that was called. */
  readonly called: Set<string>;
  ctr(...args: readonly string[]): Promise<string>;
  tryCtr(...args: readonly string[]): Promise<RunResult>;
}

async function bench(): Promise<Bench> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await scratch({ prefix: "svc" }));
  const socket = path.join(folder.path, "berthd.sock");
  const fakes = fakeServices();
  const registry = stack.use(new PluginRegistry(silentLogger));
  const exchange = plugin({
    type: "io.containerd.event.v1",
    id: "exchange",
    requires: {},
    init: () => 0,
  });
  registry.register(exchange);
  registry.register(
    plugin({
      type: "io.containerd.snapshotter.v1",
      id: "overlayfs",
      requires: { exchange },
      init: () => {
        throw new Error("no overlay here");
      },
    }),
  );
  await registry.start({ signal: new AbortController().signal, vital: [] });
  const called = new Set<string>();
  const server = new GrpcServer({
    path: socket,
    onCall: ({ service, method }) => called.add(`${service.split(".")[2]}.${method}`),
  });
  stack.defer(() => server.close({ signal: AbortSignal.abort() }));
  server.add("containerd.services.tasks.v1.Tasks", fakes.tasks);
  server.add("containerd.services.containers.v1.Containers", fakes.containers);
  server.add("containerd.services.namespaces.v1.Namespaces", fakes.namespaces);
  server.add("containerd.services.events.v1.Events", fakes.events);
  server.add(
    "containerd.services.version.v1.Version",
    createVersionService({ version: "9.8.7", revision: "abcdef" }),
  );
  server.add(
    "containerd.services.introspection.v1.Introspection",
    createIntrospectionService({ plugins: () => registry.list(), uuid }),
  );
  await server.listen();
  const owned = stack.move();
  const argv = (args: readonly string[]): string[] => ["-a", socket, "-n", "ns", ...args];
  return {
    socket,
    fakes,
    called,
    ctr: (...args) => must("ctr", argv(args)),
    tryCtr: (...args) => run("ctr", argv(args)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function addTask({ socket }: Bench, id: string): Promise<void> {
  using connection = connectGrpc(socket);
  const containers = connection.client("containerd.services.containers.v1.Containers");
  const tasks = connection.client("containerd.services.tasks.v1.Tasks");
  await containers.Create({ container: containerInit(id) }, { namespace: "ns" });
  await tasks.Create({ containerId: id }, { namespace: "ns" });
  await tasks.Start({ containerId: id }, { namespace: "ns" });
}

test("ctr version shows ours", { skip }, async () => {
  await using b = await bench();
  const text = await b.ctr("version");
  assert.match(text, /Version:\s+9\.8\.7\n\s+Revision:\s+abcdef/);
  assert.match(text, new RegExp(uuid));
});

test("ctr namespaces: create, label, list, remove", { skip }, async () => {
  await using b = await bench();
  await b.ctr("namespaces", "create", "one", "color=red");
  await b.ctr("namespaces", "label", "one", "size=big", "color=");
  assert.match(await b.ctr("namespaces", "ls"), /^NAME\s+LABELS\s*\none\s+size=big\s*$/);
  await b.ctr("namespaces", "rm", "one");
  assert.equal(await b.ctr("namespaces", "ls", "-q"), "");
});

test("ctr plugins ls shows what is up and what failed", { skip }, async () => {
  await using b = await bench();
  const text = await b.ctr("plugins", "ls");
  assert.match(text, /io\.containerd\.event\.v1\s+exchange\s+linux\/\w+\s+ok/);
  assert.match(text, /io\.containerd\.snapshotter\.v1\s+overlayfs\s+linux\/\w+\s+error/);
  const detail = await b.ctr("plugins", "ls", "-d", "id==overlayfs");
  assert.match(detail, /no overlay here/);
});

test("ctr containers: ls, info, label, rm", { skip }, async () => {
  await using b = await bench();
  await addTask(b, "c1");
  assert.match(
    await b.ctr("containers", "ls"),
    /c1\s+docker\.io\/library\/busybox:latest\s+io\.containerd\.runc\.v2/,
  );
  await b.ctr("containers", "label", "c1", "tier=web");
  assert.equal(await b.ctr("containers", "ls", "-q", "labels.tier==web"), "c1\n");
  assert.equal(await b.ctr("containers", "ls", "-q", "labels.tier==db"), "");
  const info = JSON.parse(await b.ctr("containers", "info", "c1")) as {
    ID: string;
    Spec: { ociVersion: string };
  };
  assert.deepEqual([info.ID, info.Spec.ociVersion], ["c1", "1.0.2"]);
  const refused = await b.tryCtr("containers", "rm", "c1");
  assert.notEqual(refused.code, 0);
  await b.ctr("tasks", "kill", "-s", "SIGKILL", "c1");
  await b.ctr("tasks", "rm", "c1");
  await b.ctr("containers", "rm", "c1");
  assert.equal(await b.ctr("containers", "ls", "-q"), "");
});

test("ctr tasks: ls, ps, pause, resume, metrics, kill", { skip }, async () => {
  await using b = await bench();
  await addTask(b, "c1");
  const { pid } = b.fakes.runtime.get("ns", "c1") ?? { pid: 0 };
  assert.match(await b.ctr("tasks", "ls"), new RegExp(`c1\\s+${pid}\\s+RUNNING`));
  assert.match(await b.ctr("tasks", "ps", "c1"), new RegExp(`${pid}\\s+-`));
  await b.ctr("tasks", "pause", "c1");
  assert.match(await b.ctr("tasks", "ls"), /PAUSED/);
  await b.ctr("tasks", "resume", "c1");
  const metrics: unknown = JSON.parse(await b.ctr("tasks", "metrics", "--format", "json", "c1"));
  assert.deepEqual(metrics, { pids: { current: 1 } });
  await b.ctr("tasks", "kill", "c1");
  assert.match(await b.ctr("tasks", "ls"), /STOPPED/);
  assert.ok(b.called.has("tasks.Metrics"));
});

test("ctr says what went wrong in our words", { skip }, async () => {
  await using b = await bench();
  const cases: [string[], RegExp][] = [
    [["containers", "info", "none"], /container "none" not found/],
    [["tasks", "kill", "none"], /container "none" not found/],
    [["containers", "ls", "id==="], /.*/],
    [["containers", "ls", "labels.(==x"], /filter "labels\.\(==x" is invalid/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await b.tryCtr(...args);
    if (message.source !== ".*") assert.notEqual(code, 0);
    assert.match(stderr, message);
  }
});

test("ctr events prints what happens, through its filter", { skip }, async () => {
  await using b = await bench();
  const child = spawn("ctr", ["-a", b.socket, "events", "topic~=^/tasks/"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const lines: string[] = [];
    const { promise: seen, resolve } = Promise.withResolvers<void>();
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      if (line.includes("/tasks/exit")) resolve();
    });
    // Until the subscription stands nothing would be printed, so events come until one was.
    const { promise: standing, resolve: stands } = Promise.withResolvers<void>();
    const event = { type_url: "containerd.events.TaskOOM", value: Buffer.alloc(0) };
    const poke = setInterval(() => {
      b.fakes.exchange.publish("ns", "/tasks/oom", event);
      if (lines.length > 0) stands();
    }, 20);
    await standing;
    clearInterval(poke);
    await addTask(b, "c1");
    await b.ctr("tasks", "kill", "-s", "SIGKILL", "c1");
    await seen;
    const topics = lines
      .map((line) => / (\/\S+) /.exec(line)?.[1])
      .filter((topic) => topic !== "/tasks/oom");
    assert.deepEqual(topics, ["/tasks/create", "/tasks/start", "/tasks/exit"]);
    assert.match(lines.at(-1) ?? "", /"exit_status":137/);
  } finally {
    child.kill("SIGKILL");
    await once(child, "close");
  }
});
