// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeRuntime } from "../../test/support/fake-runtime.ts";
import { platformRuntimeSuite } from "../../test/support/runtime-suite.ts";
import {
  containerInit,
  createOptions,
  type FakeServices,
  fakeServices,
} from "../../test/support/services.ts";
import type { FaultCode } from "../base/errors.ts";
import { packAny } from "../rpc/codec.ts";
import { inProcessClient } from "../rpc/in-process.ts";
import type { ServiceClient } from "../rpc/service.ts";

platformRuntimeSuite("fake runtime", async () => ({
  runtime: new FakeRuntime(),
  namespace: "ns",
  createOptions: (_id, args) => createOptions(args),
  [Symbol.asyncDispose]: async () => {},
}));

const on = { namespace: "ns" };

interface Bench extends FakeServices {
  readonly client: ServiceClient<"containerd.services.tasks.v1.Tasks">;
  /** Makes a container, and its task when arguments are given. */
  add(id: string, args?: readonly string[], isStarted?: boolean): Promise<void>;
}

function bench(options: Parameters<typeof fakeServices>[0] = {}): Bench {
  const services = fakeServices(options);
  const client = inProcessClient("containerd.services.tasks.v1.Tasks", services.tasks);
  const containers = inProcessClient(
    "containerd.services.containers.v1.Containers",
    services.containers,
  );
  return {
    ...services,
    client,
    add: async (id, args, isStarted = false) => {
      await containers.Create({ container: containerInit(id, {}, args) }, on);
      if (args) await client.Create({ containerId: id }, on);
      if (isStarted) await client.Start({ containerId: id }, on);
    },
  };
}

const sleep = ["sleep", "1000"];

const failures: {
  name: string;
  call: (b: Bench) => Promise<unknown>;
  code: FaultCode;
  message?: RegExp;
}[] = [
  {
    name: "without a namespace",
    call: (b) => b.client.Get({ containerId: "t" }),
    code: "FAILED_PRECONDITION",
    message: /^namespace is required$/,
  },
  { name: "List without a namespace", call: (b) => b.client.List({}), code: "FAILED_PRECONDITION" },
  {
    name: "Metrics without a namespace",
    call: (b) => b.client.Metrics({}),
    code: "FAILED_PRECONDITION",
  },
  {
    name: "with a bad namespace",
    call: (b) => b.client.List({}, { namespace: "a/b" }),
    code: "INVALID_ARGUMENT",
  },
  {
    name: "Create of an unknown container",
    call: (b) => b.client.Create({ containerId: "x" }, on),
    code: "NOT_FOUND",
    message: /^container "x" not found$/,
  },
  {
    name: "Get in another namespace",
    call: (b) => b.client.Get({ containerId: "t" }, { namespace: "other" }),
    code: "NOT_FOUND",
  },
  {
    name: "Create with options that are no message",
    call: (b) =>
      b.client.Create(
        {
          containerId: "bare",
          options: { type_url: "containerd.runc.v1.Options", value: Buffer.from([0x0a, 0x7f]) },
        },
        on,
      ),
    code: "INVALID_ARGUMENT",
    message: /^the bytes of a containerd.runc.v1.Options cannot be decoded$/,
  },
  {
    name: "a second Create",
    call: (b) => b.client.Create({ containerId: "t" }, on),
    code: "ALREADY_EXISTS",
    message: /^task "t" already exists$/,
  },
  {
    name: "Start without a task",
    call: (b) => b.client.Start({ containerId: "bare" }, on),
    code: "NOT_FOUND",
    message: /^task "bare" not found$/,
  },
  {
    name: "Start twice",
    call: (b) => b.client.Start({ containerId: "t" }, on),
    code: "FAILED_PRECONDITION",
  },
  {
    name: "Start of an unknown exec",
    call: (b) => b.client.Start({ containerId: "t", execId: "e" }, on),
    code: "NOT_FOUND",
  },
  {
    name: "Exec without an id",
    call: (b) => b.client.Exec({ containerId: "t", spec: {} }, on),
    code: "INVALID_ARGUMENT",
    message: /^exec id must not be empty$/,
  },
  {
    name: "Exec with a bad id",
    call: (b) => b.client.Exec({ containerId: "t", execId: "../e", spec: {} }, on),
    code: "INVALID_ARGUMENT",
  },
  {
    name: "Exec without a spec",
    call: (b) => b.client.Exec({ containerId: "t", execId: "e" }, on),
    code: "INVALID_ARGUMENT",
  },
  {
    name: "Delete of a running task",
    call: (b) => b.client.Delete({ containerId: "t" }, on),
    code: "FAILED_PRECONDITION",
  },
  {
    name: "DeleteProcess without an exec id",
    call: (b) => b.client.DeleteProcess({ containerId: "t" }, on),
    code: "INVALID_ARGUMENT",
  },
  {
    name: "Update without resources",
    call: (b) => b.client.Update({ containerId: "t" }, on),
    code: "INVALID_ARGUMENT",
  },
  {
    name: "Wait for an unknown exec",
    call: (b) => b.client.Wait({ containerId: "t", execId: "e" }, on),
    code: "NOT_FOUND",
  },
  {
    name: "Metrics with a bad filter",
    call: (b) => b.client.Metrics({ filters: ["id=="] }, on),
    code: "INVALID_ARGUMENT",
  },
  {
    name: "Checkpoint without a content store",
    call: (b) => b.client.Checkpoint({ containerId: "t" }, on),
    code: "FAILED_PRECONDITION",
  },
  {
    name: "Checkpoint with foreign options",
    call: (b) =>
      b.client.Checkpoint(
        { containerId: "t", options: packAny("containerd.runc.v1.Options", {}) },
        on,
      ),
    code: "INVALID_ARGUMENT",
  },
  {
    name: "Create with foreign options",
    call: (b) =>
      b.client.Create({ containerId: "bare", options: { type_url: "some.Options" } }, on),
    code: "INVALID_ARGUMENT",
  },
];
for (const { name, call, code, message = /./ } of failures) {
  test(`Tasks: ${name} is ${code}`, async () => {
    const b = bench();
    await b.add("t", sleep, true);
    await b.add("bare");
    await assert.rejects(call(b), { name: "RuntimeFault", code, message });
  });
}

test("Tasks: a task's life, from Create to Delete", async () => {
  const b = bench();
  await b.add("t", sleep);
  const { process: created } = await b.client.Get({ containerId: "t" }, on);
  assert.equal(created?.status, "CREATED");
  const exit = b.client.Wait({ containerId: "t" }, on);
  const { pid } = await b.client.Start({ containerId: "t" }, on);
  assert.equal(pid, created?.pid);
  await b.client.Pause({ containerId: "t" }, on);
  assert.equal((await b.client.Get({ containerId: "t" }, on)).process?.status, "PAUSED");
  await b.client.Resume({ containerId: "t" }, on);
  await b.client.Kill({ containerId: "t", signal: 15 }, on);
  const { exitStatus, exitedAt } = await exit;
  assert.equal(exitStatus, 143);
  assert.ok(exitedAt && exitedAt.seconds > 0n);
  const stopped = (await b.client.Get({ containerId: "t" }, on)).process;
  assert.deepEqual([stopped?.status, stopped?.exitStatus], ["STOPPED", 143]);
  assert.deepEqual(stopped?.exitedAt, exitedAt);
  assert.deepEqual(await b.client.Delete({ containerId: "t" }, on), {
    id: "t",
    pid,
    exitStatus,
    exitedAt,
  });
  assert.deepEqual((await b.client.List({}, on)).tasks, []);
});

test("Tasks: an exec's life", async () => {
  const b = bench();
  await b.add("t", sleep, true);
  const spec = {
    type_url: "Process",
    value: Buffer.from(JSON.stringify({ args: ["sh", "-c", "exit 4"] })),
  };
  await b.client.Exec({ containerId: "t", execId: "e", spec, stdin: "" }, on);
  const created = (await b.client.Get({ containerId: "t", execId: "e" }, on)).process;
  assert.deepEqual([created?.containerId, created?.id, created?.status], ["t", "e", "CREATED"]);
  const exit = b.client.Wait({ containerId: "t", execId: "e" }, on);
  await b.client.Start({ containerId: "t", execId: "e" }, on);
  assert.equal((await exit).exitStatus, 4);
  const deleted = await b.client.DeleteProcess({ containerId: "t", execId: "e" }, on);
  assert.deepEqual([deleted.id, deleted.exitStatus], ["e", 4]);
});

test("Tasks: one bad shim neither fails nor holds a list or the metrics", async () => {
  const b = bench({ stateTimeoutMs: () => 20, statsTimeoutMs: 20 });
  for (const id of ["good", "silent", "gone"]) await b.add(id, sleep, true);
  b.runtime.silent.add("silent");
  b.runtime.unreachable.add("gone");
  const keep = setTimeout(() => {}, 60_000); // AbortSignal.timeout alone does not keep Node alive
  const { tasks } = await b.client.List({}, on);
  assert.deepEqual(
    tasks.map(({ id, status }) => [id, status]),
    [
      ["good", "RUNNING"],
      ["silent", "UNKNOWN"],
    ],
  );
  const { metrics } = await b.client.Metrics({}, on);
  assert.deepEqual(
    metrics.map(({ id }) => id),
    ["good"],
  );
  const { process: silent } = await b.client.Get({ containerId: "silent" }, on);
  assert.equal(silent?.status, "UNKNOWN");
  // Without one it would pass for a task that has never run, and not be killed.
  assert.equal(silent.pid, b.runtime.get("ns", "silent")?.pid);
  assert.ok(silent.pid > 0);
  await assert.rejects(b.client.Get({ containerId: "gone" }, on), { code: "UNAVAILABLE" });
  clearTimeout(keep);
});

const metricFilters: { filters: string[]; ids: string[] }[] = [
  { filters: [], ids: ["a", "b"] },
  { filters: ["id==a"], ids: ["a"] },
  { filters: ["id==a", "id==b"], ids: ["a", "b"] },
  { filters: ["id==a,namespace==ns"], ids: ["a"] },
  { filters: ["id==a,namespace==other"], ids: [] },
  { filters: ["id!=a"], ids: ["b"] },
  { filters: ['id~="^b"'], ids: ["b"] },
];
for (const { filters, ids } of metricFilters) {
  test(`Tasks: Metrics with ${JSON.stringify(filters)} gives ${ids.join(" and ") || "none"}`, async () => {
    const b = bench();
    for (const id of ["a", "b"]) await b.add(id, sleep, true);
    const { metrics } = await b.client.Metrics({ filters }, on);
    assert.deepEqual(
      metrics.map((one) => one.id),
      ids,
    );
    assert.equal(
      metrics.every((one) => one.data?.type_url === "io.containerd.cgroups.v1.Metrics"),
      true,
    );
  });
}

test("Tasks: ListPids tells which exec a process belongs to", async () => {
  const b = bench();
  await b.add("t", sleep, true);
  const spec = { type_url: "Process", value: Buffer.from(JSON.stringify({ args: sleep })) };
  await b.client.Exec({ containerId: "t", execId: "e", spec }, on);
  await b.client.Start({ containerId: "t", execId: "e" }, on);
  const { processes } = await b.client.ListPids({ containerId: "t" }, on);
  assert.equal(processes.length, 2);
  assert.deepEqual(
    processes[1]?.info,
    packAny("containerd.runc.v1.ProcessDetails", { execId: "e" }),
  );
});

test("Tasks: CloseIO does nothing unless stdin is meant", async () => {
  const b = bench();
  await b.add("t", sleep, true);
  await b.client.CloseIO({ containerId: "t", execId: "unknown" }, on);
  const close = b.client.CloseIO({ containerId: "t", execId: "unknown", stdin: true }, on);
  await assert.rejects(close, { code: "NOT_FOUND" });
});

test("Tasks: Create passes on what the container's record says", async () => {
  const b = bench();
  const containers = inProcessClient("containerd.services.containers.v1.Containers", b.containers);
  const options = packAny("containerd.runc.v1.Options", {
    binaryName: "crun",
    criuImagePath: "/img",
  });
  const container = containerInit("t", {
    sandbox: "pod",
    runtime: { name: "io.containerd.runc.v2", options },
  });
  await containers.Create({ container }, on);
  const rootfs = [{ type: "bind", source: "/src", options: ["ro"] }];
  await b.client.Create(
    { containerId: "t", rootfs, options, runtimePath: "/shim", stdout: "file:///x" },
    on,
  );
  const given = b.runtime.lastCreate;
  assert.equal(given?.sandboxId, "pod");
  assert.equal(given?.checkpointPath, "/img");
  assert.equal(given?.runtimePath, "/shim");
  assert.equal(given?.io.stdout, "file:///x");
  assert.deepEqual(given?.runtimeOptions, options);
  assert.equal(given?.rootfs[0]?.source, "/src");
});
