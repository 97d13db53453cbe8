// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fault, isFault } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import { codec } from "../rpc/codec.ts";
import type { CallContext, ServiceImpl } from "../rpc/service.ts";
import { TtrpcClient } from "./client.ts";
import { encodeFrame, type Frame, FrameReader, FrameType, maxPayloadBytes } from "./frame.ts";
import { decodeResponse, encodeRequest } from "./message.ts";
import { TtrpcRegistry } from "./registry.ts";
import { TtrpcServer } from "./server.ts";
import { ttrpcServiceClient } from "./service-client.ts";

type TaskImpl = ServiceImpl<"containerd.task.v3.Task">;

async function serving(
  impl: TaskImpl,
): Promise<AsyncDisposable & { path: string; server: TtrpcServer }> {
  const folder = await mkdtemp(path.join(tmpdir(), "ttrpc test-"));
  const registry = new TtrpcRegistry().register("containerd.task.v3.Task", impl);
  const socket = path.join(folder, "s");
  const server = await TtrpcServer.listen({ path: socket, registry, log: silentLogger });
  return {
    path: socket,
    server,
    async [Symbol.asyncDispose]() {
      await server.close();
      await rm(folder, { recursive: true });
    },
  };
}

const never = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });

const wait = { signal: new AbortController().signal };

test("a ttrpc call reaches its method with namespace, headers and 64-bit values", async () => {
  let seen: CallContext | undefined;
  await using host = await serving({
    Wait: async (request, context) => {
      seen = context;
      assert.equal(request.id, "c1");
      return { exitStatus: 3, exitedAt: { seconds: 1_800_000_000_123n, nanos: 5 } };
    },
  });
  using client = await TtrpcClient.connect(host.path, wait);
  const task = ttrpcServiceClient(client, "containerd.task.v3.Task");
  const answer = await task.Wait({ id: "c1" }, { namespace: "k8s.io", headers: { trace: "t" } });
  assert.deepEqual(answer, { exitStatus: 3, exitedAt: { seconds: 1_800_000_000_123n, nanos: 5 } });
  assert.equal(seen?.namespace, "k8s.io");
  assert.equal(seen?.headers["trace"], "t");
});

test("ttrpc errors keep their code and message", async () => {
  await using host = await serving({
    State: async () => {
      throw fault("NOT_FOUND", 'container "c1" not found');
    },
    Start: async () => {
      throw new Error("odd");
    },
  });
  using client = await TtrpcClient.connect(host.path, wait);
  const task = ttrpcServiceClient(client, "containerd.task.v3.Task");
  const wrongName = ttrpcServiceClient(
    client,
    "containerd.task.v3.Task",
    "containerd.task.v2.Task",
  );
  const cases = [
    {
      call: () => task.State({ id: "c1" }),
      code: "NOT_FOUND",
      message: 'container "c1" not found',
    },
    { call: () => task.Start({ id: "c1" }), code: "UNKNOWN", message: "odd" },
    {
      call: () => task.Pids({ id: "c1" }),
      code: "UNIMPLEMENTED",
      message: "method containerd.task.v3.Task/Pids is unknown",
    },
    {
      call: () => wrongName.State({ id: "c1" }),
      code: "UNIMPLEMENTED",
      message: "service containerd.task.v2.Task is unknown",
    },
  ];
  for (const { call, code, message } of cases) await assert.rejects(call(), { code, message });
});

test("ttrpc calls are answered in any order on one connection", async () => {
  const gate = Promise.withResolvers<void>();
  await using host = await serving({
    Wait: async () => {
      await gate.promise;
      return { exitStatus: 9 };
    },
    Pids: async () => ({ processes: [{ pid: 7 }] }),
  });
  using client = await TtrpcClient.connect(host.path, wait);
  const task = ttrpcServiceClient(client, "containerd.task.v3.Task");
  const waiting = task.Wait({ id: "x" });
  assert.equal((await task.Pids({ id: "x" })).processes[0]?.pid, 7);
  gate.resolve();
  assert.equal((await waiting).exitStatus, 9);
});

test("a closed ttrpc connection fails every pending and later call with UNAVAILABLE", async () => {
  await using host = await serving({ Wait: async (_request, { signal }) => never(signal) });
  using client = await TtrpcClient.connect(host.path, wait);
  const task = ttrpcServiceClient(client, "containerd.task.v3.Task");
  const pending = [task.Wait({ id: "a" }), task.Wait({ id: "b" })].map((call) =>
    assert.rejects(call, { code: "UNAVAILABLE" }),
  );
  await host.server.close();
  await Promise.all(pending);
  await client.closed;
  assert.equal(client.isClosed, true);
  await assert.rejects(task.Wait({ id: "c" }), { code: "UNAVAILABLE" });
});

test("aborting and timing out a ttrpc call gives up the wait only", async () => {
  const signals: AbortSignal[] = [];
  await using host = await serving({
    Wait: async (_request, { signal }) => {
      signals.push(signal);
      return never(signal);
    },
    Pids: async () => ({}),
  });
  using client = await TtrpcClient.connect(host.path, wait);
  const control = new AbortController();
  const task = ttrpcServiceClient(client, "containerd.task.v3.Task");
  const call = task.Wait({ id: "a" }, { signal: control.signal });
  control.abort();
  await assert.rejects(call, { code: "CANCELLED" });
  await assert.rejects(
    client.call("containerd.task.v3.Task", "Wait", Buffer.alloc(0), { timeoutMs: 1 }),
    {
      code: "DEADLINE_EXCEEDED",
    },
  );
  assert.deepEqual((await task.Pids({ id: "a" })).processes, []);
  assert.equal(signals[0]?.aborted, false);
});

test("connecting to nobody is UNAVAILABLE", async () => {
  await assert.rejects(TtrpcClient.connect("/nonexistent/ttrpc", wait), (error) =>
    isFault(error, "UNAVAILABLE"),
  );
});

test("a ttrpc server refuses bad stream ids, junk and oversized frames, and keeps the connection", async () => {
  await using host = await serving({ Pids: async () => ({}) });
  const socket = connect(host.path);
  const reader = new FrameReader();
  const frames: Frame[] = [];
  const done = Promise.withResolvers<void>();
  socket.on("data", (chunk: Buffer) => {
    frames.push(...(reader.push(chunk) as Frame[]));
    if (frames.length === 5) done.resolve();
  });
  const payload = encodeRequest({
    service: "containerd.task.v3.Task",
    method: "Pids",
    payload: codec("containerd.task.v3.PidsRequest").encode({ id: "x" }),
    timeoutNanos: 0,
    metadata: [],
  });
  const send = (streamId: number, body: Buffer): void => {
    socket.write(encodeFrame({ streamId, type: FrameType.request, flags: 0, payload: body }));
  };
  send(2, payload);
  send(3, payload);
  send(3, payload);
  send(5, Buffer.alloc(maxPayloadBytes + 1));
  send(7, Buffer.from([0xff, 0xff, 0xff]));
  await done.promise;
  socket.destroy();
  const codes = frames.map((frame) => [frame.streamId, decodeResponse(frame.payload).code]);
  assert.deepEqual(
    codes.sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0)),
    [
      [2, 3],
      [3, 0],
      [3, 3],
      [5, 8],
      [7, 3],
    ],
  );
});

test("a ttrpc client keeps a bounded number of bytes for a server that does not read", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "ttrpc deaf-"));
  t.after(() => rm(folder, { recursive: true }));
  const deaf = createServer({ pauseOnConnect: true }).listen(path.join(folder, "s"));
  t.after(() => deaf.close());
  await once(deaf, "listening");
  using client = await TtrpcClient.connect(path.join(folder, "s"), wait);
  const payload = Buffer.alloc(3 * 1024 * 1024);
  const answers = Array.from({ length: 20 }, () => client.call("S", "M", payload));
  const refused = await Promise.allSettled(answers.slice(10));
  for (const each of refused) {
    assert.ok(each.status === "rejected" && isFault(each.reason, "UNAVAILABLE"));
    assert.match(each.reason.message, /S\/M cannot be asked: the server does not read/);
  }
  client.close();
  await Promise.allSettled(answers);
});

test("a ttrpc peer that does not read its answers is not read from", async () => {
  let served = 0;
  await using host = await serving({
    Connect: async () => {
      served += 1;
      return { version: "v".repeat(100_000) };
    },
  });
  const socket = connect(host.path);
  socket.pause();
  const asked = 2000;
  for (let n = 0; n < asked; n += 1) {
    const payload = encodeRequest({
      service: "containerd.task.v3.Task",
      method: "Connect",
      payload: Buffer.alloc(0),
      timeoutNanos: 0,
      metadata: [],
    });
    socket.write(encodeFrame({ streamId: 2 * n + 1, type: FrameType.request, flags: 0, payload }));
  }
  // Whoever connects later is served meanwhile, so the first was given its chance.
  using client = await TtrpcClient.connect(host.path, wait);
  const task = ttrpcServiceClient(client, "containerd.task.v3.Task");
  for (let n = 0; n < 20; n += 1) await task.Connect({ id: "c" });
  assert.ok(served - 20 < asked, `${served} were served`);
  socket.destroy();
});

test("what a peer asks for is not sent back at length", async () => {
  await using host = await serving({});
  using client = await TtrpcClient.connect(host.path, wait);
  const long = "m".repeat(2 * 1024 * 1024);
  for (const call of [
    client.call(long, "M", Buffer.alloc(0)),
    client.call("S", long, Buffer.alloc(0)),
  ]) {
    await assert.rejects(call, (error) => {
      assert.ok(isFault(error, "UNIMPLEMENTED"));
      assert.ok(error.message.length < 5000, `${error.message.length} characters`);
      return true;
    });
  }
});
