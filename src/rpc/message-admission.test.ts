// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import http2 from "node:http2";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fault, isFault } from "../base/errors.ts";
import { MemoryPool } from "../base/memory/memory-pool.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { codec } from "./codec.ts";
import { connectGrpc } from "./grpc-client.ts";
import { type CallMemory, GrpcServer } from "./grpc-server.ts";
import type { ServiceClient, ServiceImpl } from "./service.ts";

const runtime = "runtime.v1.RuntimeService";
const content = "containerd.services.content.v1.Content";
const mib = 2 ** 20;

interface Bed {
  readonly socket: string;
  readonly memory: CallMemory;
  readonly refused: string[];
  readonly cri: ServiceClient<typeof runtime>;
  readonly content: ServiceClient<typeof content>;
}

async function serve(
  t: TestContext,
  impl: ServiceImpl<typeof runtime>,
  change: Partial<CallMemory> = {},
  contentImpl: ServiceImpl<typeof content> = {},
): Promise<Bed> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth-admission-"));
  const refused: string[] = [];
  const pool = (name: string): MemoryPool =>
    new MemoryPool({ name, limitBytes: 4 * mib, patienceMs: 300 });
  const memory: CallMemory = {
    requests: pool("requests"),
    answers: pool("answers"),
    maxCalls: 100,
    shortage: () => undefined,
    onRefused: (path) => refused.push(path),
    ...change,
  };
  const server = new GrpcServer({ path: path.join(folder, "s.sock"), memory });
  server.add(runtime, impl, { always: ["Version"], costly: ["RunPodSandbox"] });
  server.add(content, contentImpl);
  await server.listen();
  const peer = connectGrpc(server.path);
  t.after(async () => {
    peer[Symbol.dispose]();
    await server.close({ signal: AbortSignal.abort() });
    removeFolderSync(folder);
  });
  return {
    socket: server.path,
    memory,
    refused,
    cri: peer.client(runtime),
    content: peer.client(content),
  };
}

/** For tests in which all are to be served in the end, however slow the machine is. */
const patient = (name: "requests" | "answers"): MemoryPool =>
  new MemoryPool({ name, limitBytes: 4 * mib, patienceMs: 60_000 });

/** Waits as long as it takes: what never comes true ends with the runner's limit. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(5);
}

const version = async (): Promise<{ version: string }> => ({ version: "0.1.0" });

test("a large request is counted from its first bytes to the end of its call", async (t) => {
  const { memory, cri } = await serve(t, {
    ExecSync: async () => ({ exitCode: memory.requests.heldBytes > 3 * mib ? 1 : 0 }),
  });
  const { exitCode } = await cri.ExecSync({ containerId: "x".repeat(3 * mib) });
  assert.equal(exitCode, 1);
  await until(() => memory.requests.heldBytes === 0);
});

test("a request waits, unread, while others hold the memory, and is served when they have ended", async (t) => {
  const served: number[] = [];
  const first = Promise.withResolvers<void>();
  const impl = {
    ExecSync: async ({ containerId }: { containerId: string }) => {
      served.push(containerId.length);
      if (served.length === 1) await first.promise;
      return {};
    },
    Version: version,
  };
  const bed = await serve(t, impl, { requests: patient("requests") });
  const one = bed.cri.ExecSync({ containerId: "x".repeat(3 * mib) });
  await until(() => served.length === 1);
  const two = bed.cri.ExecSync({ containerId: "x".repeat(2 * mib) });
  await sleep(100);
  assert.deepEqual(served, [3 * mib]);
  assert.equal((await bed.cri.Version({})).version, "0.1.0");
  first.resolve();
  await Promise.all([one, two]);
  assert.deepEqual(served, [3 * mib, 2 * mib]);
  assert.deepEqual(bed.refused, []);
});

test("requests that get no memory in time are refused, and the next one is served", async (t) => {
  const first = Promise.withResolvers<void>();
  const bed = await serve(t, {
    ExecSync: async () => {
      await first.promise;
      return {};
    },
  });
  const held = bed.cri.ExecSync({ containerId: "x".repeat(3 * mib) });
  await until(() => bed.memory.requests.heldBytes > 0);
  const late = Array.from({ length: 5 }, () =>
    bed.cri.ExecSync({ containerId: "x".repeat(2 * mib) }),
  );
  for (const end of await Promise.allSettled(late)) {
    assert.ok(end.status === "rejected" && isFault(end.reason, "RESOURCE_EXHAUSTED"));
    assert.match(
      String(end.reason),
      /call \/runtime.v1.RuntimeService\/ExecSync with a message of \d+ bytes is refused: requests hold/,
    );
  }
  const tooLarge = bed.cri.ExecSync({ containerId: "x".repeat(5 * mib) });
  await assert.rejects(
    tooLarge,
    /it takes \d+ bytes of memory, and the daemon has 4194304 for all requests/,
  );
  assert.equal(bed.refused.length, 6);
  first.resolve();
  await held;
  await bed.cri.ExecSync({ containerId: "x".repeat(3 * mib) });
});

test("calls beyond their number are refused, but for those that tell how the daemon is", async (t) => {
  const first = Promise.withResolvers<void>();
  let begun = 0;
  const bed = await serve(
    t,
    {
      ExecSync: async () => {
        begun += 1;
        await first.promise;
        return {};
      },
      Version: version,
    },
    { maxCalls: 2 },
  );
  const running = [bed.cri.ExecSync({}), bed.cri.ExecSync({})];
  await until(() => begun === 2);
  await assert.rejects(
    bed.cri.ExecSync({}),
    (error) =>
      isFault(error, "RESOURCE_EXHAUSTED") && /2 calls are being served/.test(error.message),
  );
  assert.equal((await bed.cri.Version({})).version, "0.1.0");
  first.resolve();
  await Promise.all(running);
  await bed.cri.ExecSync({});
});

test("while memory is short, only calls that take more of it are refused", async (t) => {
  let isShort = true;
  const shortage = (what: string) =>
    isShort ? fault("RESOURCE_EXHAUSTED", `${what} is refused: no memory`) : undefined;
  const impl = {
    RunPodSandbox: async () => ({ podSandboxId: "one" }),
    StopPodSandbox: async () => ({}),
  };
  const bed = await serve(t, impl, { shortage });
  await assert.rejects(bed.cri.RunPodSandbox({}), {
    code: "RESOURCE_EXHAUSTED",
    message: `call /${runtime}/RunPodSandbox is refused: no memory`,
  });
  await bed.cri.StopPodSandbox({ podSandboxId: "one" });
  isShort = false;
  assert.equal((await bed.cri.RunPodSandbox({})).podSandboxId, "one");
});

test("a message of a stream is counted until the next is asked for", async (t) => {
  const held: number[] = [];
  const bed = await serve(
    t,
    {},
    {},
    {
      Write: async function* (requests) {
        for await (const { data } of requests) {
          held.push(bed.memory.requests.heldBytes - data.length);
          yield { offset: BigInt(data.length) };
        }
      },
    },
  );
  async function* writes(): AsyncGenerator<{ data: Buffer }> {
    for (let count = 0; count < 8; count += 1) yield { data: Buffer.alloc(2 * mib) };
  }
  for await (const _answer of bed.content.Write(writes()));
  assert.equal(held.length, 8);
  assert.ok(
    held.every((bytes) => bytes < 1024),
    `more than one: ${held.join()}`,
  );
});

test("fields are counted in nested messages, maps and packed lists, without decoding them", () => {
  const config = codec("runtime.v1.ContainerConfig");
  const cases: readonly (readonly [Parameters<typeof config.encode>[0], number])[] = [
    [{}, 0],
    [{ command: ["a", "", "c"] }, 3],
    [{ mounts: [{ hostPath: "a", containerPath: "b" }, {}] }, 4],
    [{ labels: { a: "b", c: "d" } }, 4],
    [{ linux: { securityContext: { supplementalGroups: [1n, 2n, 3n] } } }, 6],
  ];
  for (const [value, fields] of cases) {
    const bytes = config.encode(value);
    assert.equal(config.countFields(bytes, 100), fields, JSON.stringify(Object.keys(value)));
    for (let cut = 0; cut < bytes.length; cut += 1) {
      assert.ok(config.countFields(bytes.subarray(0, cut), 100) <= fields);
    }
  }
  const many = config.encode({ command: Array.from({ length: 1000 }, () => "") });
  assert.equal(config.countFields(many, 10), 11);
});

test("answers wait for memory, and lists are not even made before they have it", async (t) => {
  let making = 0;
  const impl = {
    ListContainers: async () => {
      making += 1;
      return { containers: [{ id: "x".repeat(1.5 * mib) }] };
    },
  };
  const bed = await serve(t, impl, { answers: patient("answers") });
  await bed.cri.ListContainers({});
  const held = await bed.memory.answers.take(2 * mib, "test", { signal: t.signal });
  const before = making;
  const lists = Array.from({ length: 3 }, () => bed.cri.ListContainers({}));
  await sleep(50);
  assert.equal(making, before);
  held[Symbol.dispose]();
  for (const { containers } of await Promise.all(lists)) {
    assert.equal(containers[0]?.id.length, 1.5 * mib);
  }
  await until(() => bed.memory.answers.heldBytes === 0);
});

test("what only reads is made again when there is memory for its answer, what acts is not", async (t) => {
  let statuses = 0;
  let execs = 0;
  const text = "x".repeat(100 * 1024);
  const impl = {
    ContainerStatus: async () => {
      statuses += 1;
      return { status: { id: text } };
    },
    ExecSync: async () => {
      execs += 1;
      return { stdout: Buffer.from(text) };
    },
  };
  const bed = await serve(t, impl, { answers: patient("answers") });
  const held = await bed.memory.answers.take(4 * mib, "test", { signal: t.signal });
  const answers = [
    ...Array.from({ length: 5 }, async () => (await bed.cri.ContainerStatus({})).status?.id),
    bed.cri.ExecSync({}).then(({ stdout }) => stdout.toString()),
  ];
  await until(() => statuses >= 5 && execs >= 1);
  assert.deepEqual([statuses, execs], [5, 1]);
  held[Symbol.dispose]();
  assert.deepEqual(new Set(await Promise.all(answers)), new Set([text]));
  assert.deepEqual([statuses, execs], [10, 1]);
  await until(() => bed.memory.answers.heldBytes === 0);
});

for (const known of [true, false]) {
  const when = known ? "that has waited keeps its memory" : "of unknown size is waited for";
  test(`a list ${when}, so that no other is made meanwhile`, async (t) => {
    let made = 0;
    const makeList = async (): Promise<{ containers: { id: string }[] }> => {
      made += 1;
      return { containers: [{ id: "x".repeat(0.9 * mib) }] };
    };
    const bed = await serve(t, { ListContainers: makeList }, { answers: patient("answers") });
    if (known) await bed.cri.ListContainers({});
    const lists = Array.from({ length: 10 }, () => bed.cri.ListContainers({}).then(() => made));
    assert.ok((await Promise.race(lists)) < 5);
    await Promise.all(lists);
    assert.equal(made, known ? 11 : 10);
  });
}

test("a large answer is refused while memory is short, a small one is not", async (t) => {
  const bed = await serve(
    t,
    {
      ContainerStatus: async ({ containerId }) => ({
        status: { id: "x".repeat(Number(containerId)) },
      }),
    },
    { shortage: (what) => fault("RESOURCE_EXHAUSTED", `${what} is refused: there is no memory`) },
  );
  const { status } = await bed.cri.ContainerStatus({ containerId: "1000" });
  assert.equal(status?.id.length, 1000);
  await assert.rejects(
    bed.cri.ContainerStatus({ containerId: "1000000" }),
    (error) =>
      isFault(error, "RESOURCE_EXHAUSTED") &&
      /answer of \/runtime.v1.RuntimeService\/ContainerStatus with 10000\d\d bytes is refused/.test(
        error.message,
      ),
  );
});

test("a list that took much last time is not even made while memory is short", async (t) => {
  let made = 0;
  let isShort = false;
  const bed = await serve(
    t,
    {
      ListContainers: async () => {
        made += 1;
        return { containers: [{ id: "x".repeat(mib) }] };
      },
    },
    {
      shortage: (what) =>
        isShort ? fault("RESOURCE_EXHAUSTED", `${what} is refused: there is no memory`) : undefined,
    },
  );
  await bed.cri.ListContainers({});
  isShort = true;
  await assert.rejects(bed.cri.ListContainers({}), /ListContainers is refused: there is no memory/);
  assert.equal(made, 1);
  isShort = false;
  await bed.cri.ListContainers({});
});

test("of a stream that nobody reads one large answer is made, not the sixteen that gRPC has room for", async (t) => {
  let made = 0;
  const bed = await serve(
    t,
    {
      GetContainerEvents: async function* () {
        for (; made < 64; made += 1) yield { containerId: "x".repeat(200 * 1024) };
      },
    },
    { answers: new MemoryPool({ name: "answers", limitBytes: 64 * mib }) },
  );
  const session = http2.connect("http://localhost", {
    createConnection: () => net.connect(bed.socket),
  });
  t.after(() => session.destroy());
  const stream = session.request({
    ":method": "POST",
    ":path": `/${runtime}/GetContainerEvents`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => {});
  stream.end(Buffer.alloc(5)); // an empty message, and its frame says so
  await once(stream, "response");
  await sleep(200);
  assert.equal(made, 0, "answers that the client's window has taken");
  assert.ok(bed.memory.answers.heldBytes > 0);
  stream.close();
});

test("a request counts with what becomes of it, and the largest there is memory for goes alone", async (t) => {
  const held: number[] = [];
  const bed = await serve(t, {
    ContainerStatus: async () => {
      held.push(bed.memory.requests.heldBytes);
      return {};
    },
  });
  for (const size of [1000, 0.5 * mib, 3 * mib]) {
    await bed.cri.ContainerStatus({ containerId: "x".repeat(size) });
  }
  const [small, medium = 0, large] = held;
  assert.ok(
    small === 0 && medium > 2 * mib && medium < 2.1 * mib && large === 4 * mib,
    held.join(),
  );
});

test("an answer that no kubelet takes is refused with its size and the stream to call instead", async (t) => {
  const bed = await serve(
    t,
    {
      ListContainers: async () => ({ containers: [{ id: "x".repeat(17 * mib) }] }),
    },
    { answers: new MemoryPool({ name: "answers", limitBytes: 64 * mib }) },
  );
  await assert.rejects(
    bed.cri.ListContainers({}),
    (error) =>
      isFault(error, "RESOURCE_EXHAUSTED") &&
      /answer of \/runtime.v1.RuntimeService\/ListContainers is too large: at least 1782579\d bytes, the limit is 16777216: ask for less with a filter, or call StreamContainers/.test(
        error.message,
      ),
  );
});

test("what owns memory is disposed of when its answer has been encoded", async (t) => {
  let isDisposed = false;
  const bed = await serve(t, {
    ExecSync: async () => ({
      exitCode: 3,
      [Symbol.dispose]: () => {
        isDisposed = true;
      },
    }),
  });
  assert.equal((await bed.cri.ExecSync({})).exitCode, 3);
  assert.ok(isDisposed);
});
