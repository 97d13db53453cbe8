// SPDX-License-Identifier: Apache-2.0
// The client library, over in-process services and over gRPC alike.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { containerInit, type FakeServices, fakeServices } from "../../test/support/services.ts";
import { fault } from "../base/errors.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { connectGrpc } from "../rpc/grpc-client.ts";
import { GrpcServer } from "../rpc/grpc-server.ts";
import { inProcessClient } from "../rpc/in-process.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import { createClient } from "./client.ts";
import { createOutputCapture } from "./io/capture-io.ts";
import { logFileIo } from "./io/log-file-io.ts";
import { nullIo } from "./io/null-io.ts";
import type { Client, Task } from "./ports.ts";

const { signal } = new AbortController();
const call = { signal };
const containersName = "containerd.services.containers.v1.Containers";
const tasksName = "containerd.services.tasks.v1.Tasks";
const snapshotsName = "containerd.services.snapshots.v1.Snapshots";
const mount = { type: "bind", source: "/layers", target: "", options: ["ro"] };
const snapshots: ServiceImpl<typeof snapshotsName> = {
  Mounts: async ({ snapshotter, key }) => {
    if (key !== "s") throw fault("NOT_FOUND", `snapshot "${key}" not found`);
    return { mounts: [{ ...mount, source: `/${snapshotter}` }] };
  },
};

interface Bench extends AsyncDisposable {
  readonly client: Client;
  readonly fakes: FakeServices;
  readonly folder: string;
}

function folderIn(stack: AsyncDisposableStack): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth client-"));
  stack.defer(() => removeFolderSync(folder));
  return folder;
}

async function inProcess(): Promise<Bench> {
  const stack = new AsyncDisposableStack();
  const fakes = fakeServices();
  const client = createClient({
    namespace: "ns",
    inProcess: true,
    services: {
      containers: inProcessClient(containersName, fakes.containers),
      tasks: inProcessClient(tasksName, fakes.tasks),
      snapshots: inProcessClient(snapshotsName, snapshots),
    },
  });
  return {
    client,
    fakes,
    folder: folderIn(stack),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function overGrpc(): Promise<Bench> {
  const stack = new AsyncDisposableStack();
  const fakes = fakeServices();
  const folder = folderIn(stack);
  const server = new GrpcServer({ path: path.join(folder, "a.sock") });
  stack.defer(() => server.close({ signal: AbortSignal.abort() }));
  server.add(containersName, fakes.containers);
  server.add(tasksName, fakes.tasks);
  server.add(snapshotsName, snapshots);
  await server.listen();
  const connection = stack.use(connectGrpc(server.path));
  const client = createClient({
    namespace: "ns",
    services: {
      containers: connection.client(containersName),
      tasks: connection.client(tasksName),
      snapshots: connection.client(snapshotsName),
    },
  });
  return { client, fakes, folder, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function started(client: Client, args: readonly string[] = ["sleep", "1000"]): Promise<Task> {
  const container = await client.newContainer(containerInit("c", {}, args), call);
  const task = await container.newTask({ io: nullIo }, call);
  await task.start(call);
  return task;
}

for (const { name, open } of [
  { name: "in process", open: inProcess },
  { name: "over gRPC", open: overGrpc },
]) {
  test(`client ${name}: a container's life`, async () => {
    await using bench = await open();
    const container = await bench.client.newContainer(containerInit("c"), call);
    await container.update({ labels: { a: "b" } }, ["labels"], call);
    assert.deepEqual(container.record.labels, { a: "b" });
    const found = await bench.client.containers(["labels.a==b"], call);
    assert.deepEqual(
      found.map(({ id }) => id),
      ["c"],
    );
    const loaded = await bench.client.loadContainer("c", call);
    await assert.rejects(loaded.task(call), { code: "NOT_FOUND" });
    await loaded.delete(call);
    await assert.rejects(bench.client.loadContainer("c", call), { code: "NOT_FOUND" });
  });

  test(`client ${name}: wait, start, exit, delete of a short task`, async () => {
    await using bench = await open();
    const init = containerInit("c", {}, ["sh", "-c", "exit 5"]);
    const container = await bench.client.newContainer(init, call);
    const task = await container.newTask({ io: nullIo }, call);
    const exit = await task.wait(call);
    await task.start(call);
    const status = await exit.status;
    assert.equal(status.exitCode, 5);
    assert.equal(status.error, undefined);
    assert.equal((await task.status(call)).state, "stopped");
    assert.deepEqual(await task.delete(call), status);
  });

  test(`client ${name}: a task is paused, updated, measured, killed`, async () => {
    await using bench = await open();
    const task = await started(bench.client);
    assert.ok(task.pid > 0);
    await task.pause(call);
    assert.equal((await task.status(call)).state, "paused");
    await task.resume(call);
    await task.update({ memory: { limit: 1 } }, call);
    assert.equal((await task.metrics(call)).id, "c");
    assert.deepEqual(
      (await task.pids(call)).map(({ pid }) => pid),
      [task.pid],
    );
    const exit = await task.wait(call);
    await task.kill(9, call, { all: true });
    assert.equal((await exit.status).exitCode, 137);
    await assert.rejects(task.kill(9, call), { code: "NOT_FOUND" });
  });

  test(`client ${name}: an exec's output is captured up to the limit, and its FIFOs go`, async () => {
    await using bench = await open();
    const task = await started(bench.client);
    const fifos = path.join(bench.folder, "fifo");
    const output = createOutputCapture(fifos).create(8);
    const spec = { args: ["sh", "-c", "echo hello world"] };
    const exec = await task.exec("e", spec, output.io, call);
    assert.equal(readdirSync(fifos, { recursive: true }).length, 3);
    const exit = await exec.wait(call);
    await exec.start(call);
    assert.equal((await exit.status).exitCode, 0);
    await exec.io?.drained(call);
    await exec.delete(call);
    assert.equal(output.stdout().toString(), "hello wo");
    assert.equal(output.stderr().toString(), "");
    assert.deepEqual(readdirSync(fifos), []);
  });

  test(`client ${name}: an exec that cannot be added leaves no FIFOs`, async () => {
    await using bench = await open();
    const task = await started(bench.client);
    const fifos = path.join(bench.folder, "fifo");
    const { io } = createOutputCapture(fifos).create(8);
    await assert.rejects(task.exec("bad/id", { args: [] }, io, call));
    assert.deepEqual(readdirSync(fifos), []);
  });

  test(`client ${name}: draining ends when its signal fires, the stream stays`, async () => {
    await using bench = await open();
    const task = await started(bench.client);
    const output = createOutputCapture(path.join(bench.folder, "fifo")).create(100);
    const exec = await task.exec("e", { args: ["sleep", "1"] }, output.io, call);
    await exec.start(call);
    const drained = exec.io?.drained({ signal: AbortSignal.abort(new Error("time is up")) });
    await assert.rejects(drained ?? Promise.resolve(), /time is up/);
    const exit = await exec.wait(call);
    await exec.kill(9, call);
    await exit.status;
    await exec.io?.drained(call);
    await exec.delete(call);
  });

  test(`client ${name}: a wait that fails is exit 255 with its error`, async () => {
    await using bench = await open();
    const task = await started(bench.client);
    const abort = new AbortController();
    const exit = await task.wait({ signal: abort.signal });
    abort.abort();
    const { exitCode, error } = await exit.status;
    assert.equal(exitCode, 255);
    assert.equal((error as { code?: string } | undefined)?.code, "CANCELLED");
    await task.kill(9, call);
    await task.delete(call);
    const late = await (await task.wait(call)).status;
    assert.equal((late.error as { code?: string } | undefined)?.code, "NOT_FOUND");
  });

  test(`client ${name}: a process that runs cannot be deleted`, async () => {
    await using bench = await open();
    const task = await started(bench.client);
    await assert.rejects(task.delete(call), { code: "FAILED_PRECONDITION" });
    const exec = await task.exec("e", { args: ["sleep", "1000"] }, nullIo, call);
    await exec.start(call);
    await assert.rejects(exec.delete(call), { code: "FAILED_PRECONDITION" });
    await exec.kill(9, call);
    assert.equal((await exec.delete(call)).exitCode, 137);
    await task.kill(9, call);
    assert.equal((await task.delete(call)).exitCode, 137);
  });

  test(`client ${name}: a task's root is its container's snapshot`, async () => {
    await using bench = await open();
    const { client, fakes } = bench;
    const init = containerInit("c", { snapshotter: "overlayfs", snapshotKey: "s" });
    const container = await client.newContainer(init, call);
    const task = await container.newTask({ io: nullIo }, call);
    assert.deepEqual(fakes.runtime.lastCreate?.rootfs, [{ ...mount, source: "/overlayfs" }]);
    await task.delete(call);
    const own = await container.newTask({ io: nullIo, rootfs: [mount] }, call);
    assert.deepEqual(fakes.runtime.lastCreate?.rootfs, [mount]);
    await own.delete(call);
    const gone = containerInit("d", { snapshotter: "overlayfs", snapshotKey: "gone" });
    const other = await client.newContainer(gone, call);
    await assert.rejects(other.newTask({ io: nullIo }, call), { code: "NOT_FOUND" });
  });

  test(`client ${name}: a later client takes over a running task`, async () => {
    await using bench = await open();
    const first = await started(bench.client);
    const container = await bench.client.loadContainer("c", call);
    const second = await container.task(call, async (config) => {
      assert.deepEqual(config, { stdin: "", stdout: "", stderr: "", terminal: false });
      return nullIo("c");
    });
    assert.equal(second.pid, first.pid);
    await second.kill(15, call);
    assert.equal((await second.delete(call)).exitCode, 143);
  });
}

test("a task's update and exec carry integers that no number can hold", async () => {
  await using bench = await inProcess();
  const task = await started(bench.client);
  await task.update({ memory: { limit: 9_223_372_036_854_775_807n } }, call);
  const rlimits = [{ type: "RLIMIT_AS", soft: 18_446_744_073_709_551_615n, hard: 1n }];
  const exec = await task.exec("e", { args: ["true"], rlimits }, nullIo, call);
  await exec.delete(call);
});

test("logFileIo gives a file URL for both streams", async () => {
  await using io = await logFileIo("/var/log/a b.log")("c");
  assert.equal(io.config.stdout, "file:///var/log/a%20b.log");
  assert.equal(io.config.stderr, io.config.stdout);
  assert.throws(() => logFileIo("a.log"), { code: "INVALID_ARGUMENT" });
});
