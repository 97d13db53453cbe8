// SPDX-License-Identifier: Apache-2.0
// What a ServiceClient promises, held against both transports.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { type FaultCode, fault, isFault } from "../base/errors.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { connectGrpc } from "./grpc-client.ts";
import { GrpcServer } from "./grpc-server.ts";
import { inProcessClient } from "./in-process.ts";
import { connectLight, type LightConnection } from "./light/light-client.ts";
import type { ServiceClient, ServiceImpl, ServiceName } from "./service.ts";

const introspection = "containerd.services.introspection.v1.Introspection";
const tasks = "containerd.services.tasks.v1.Tasks";
const containers = "containerd.services.containers.v1.Containers";
const events = "containerd.services.events.v1.Events";
const content = "containerd.services.content.v1.Content";

type Connect = <S extends ServiceName>(
  service: S,
  impl: ServiceImpl<S>,
) => Promise<ServiceClient<S>>;

const transports: readonly { name: string; open: () => Connect & AsyncDisposable }[] = [
  {
    name: "in process",
    open: () =>
      Object.assign(
        async <S extends ServiceName>(service: S, impl: ServiceImpl<S>) =>
          inProcessClient(service, impl),
        { [Symbol.asyncDispose]: async () => {} },
      ),
  },
  { name: "gRPC", open: () => openGrpc(connectGrpc) },
  { name: "light", open: () => openGrpc(connectLight) },
];

function openGrpc(
  connectTo: (path: string) => LightConnection = connectGrpc,
): Connect & AsyncDisposable {
  const stack = new AsyncDisposableStack();
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth rpc-"));
  stack.defer(() => removeFolderSync(folder));
  let count = 0;
  const connect: Connect = async (service, impl) => {
    count += 1;
    const server = new GrpcServer({ path: path.join(folder, `s${count}.sock`) });
    stack.defer(() => server.close({ signal: AbortSignal.abort() }));
    server.add(service, impl);
    await server.listen();
    return stack.use(connectTo(server.path)).client(service);
  };
  return Object.assign(connect, { [Symbol.asyncDispose]: () => stack.disposeAsync() });
}

async function codeOf(work: Promise<unknown>): Promise<[FaultCode, string]> {
  try {
    await work;
  } catch (error) {
    assert.ok(isFault(error), `no fault: ${String(error)}`);
    return [error.code, error.message];
  }
  throw new Error("it did not fail");
}

for (const { name, open } of transports) {
  test(`${name}: carries 64-bit integers both ways`, async () => {
    await using connect = open();
    const big = 2n ** 63n - 1n;
    const client = await connect(introspection, {
      Server: async () => ({ uuid: "u", pid: big, pidns: 4026531836n }),
    });
    const answer = await client.Server({});
    assert.equal(answer.pid, big);
    assert.equal(answer.pidns, 4026531836n);
    const seen: unknown[] = [];
    const second = await connect(tasks, {
      Create: async (request) => {
        seen.push(request.checkpoint?.size);
        return { containerId: request.containerId, pid: 3 };
      },
    });
    const created = await second.Create({ containerId: "c", checkpoint: { size: 2n ** 53n + 1n } });
    assert.deepEqual(created, { containerId: "c", pid: 3 });
    assert.deepEqual(seen, [2n ** 53n + 1n]);
  });

  test(`${name}: completes messages with defaults and tells enums by name`, async () => {
    await using connect = open();
    const seen: unknown[] = [];
    const client = await connect(tasks, {
      Get: async (request) => {
        seen.push({ ...request });
        return { process: { id: "x", status: "PAUSED" } };
      },
    });
    const { process } = await client.Get({ containerId: "x" });
    assert.deepEqual(seen, [{ containerId: "x", execId: "" }]);
    assert.equal(process?.status, "PAUSED");
    assert.equal(process?.stdin, "");
    assert.equal(process?.exitedAt, null);
  });

  test(`${name}: carries the namespace and headers`, async () => {
    await using connect = open();
    const seen: unknown[] = [];
    const client = await connect(tasks, {
      Pause: async (_request, ctx) => {
        seen.push(ctx.namespace, ctx.headers["x-one"]);
        return {};
      },
    });
    await client.Pause({ containerId: "x" }, { namespace: "k8s.io", headers: { "x-one": "1" } });
    await client.Pause({ containerId: "x" });
    assert.deepEqual(seen, ["k8s.io", "1", undefined, undefined]);
  });

  const failures: { thrown: unknown; code: FaultCode; message: string }[] = [
    {
      thrown: fault("NOT_FOUND", 'task "x" not found'),
      code: "NOT_FOUND",
      message: 'task "x" not found',
    },
    {
      thrown: fault("ABORTED", "zwölf: ≥ 12\nlines"),
      code: "ABORTED",
      message: "zwölf: ≥ 12\nlines",
    },
    { thrown: new Error("plain"), code: "UNKNOWN", message: "plain" },
    {
      thrown: new TypeError("x is not a function"),
      code: "INTERNAL",
      message: "internal error, see the daemon's log",
    },
  ];
  test(`${name}: answers failures as faults`, async () => {
    await using connect = open();
    let next: unknown;
    const client = await connect(tasks, {
      Pause: async () => {
        throw next;
      },
    });
    for (const { thrown, code, message } of failures) {
      next = thrown;
      assert.deepEqual(await codeOf(client.Pause({ containerId: "x" })), [code, message]);
    }
  });

  test(`${name}: answers UNIMPLEMENTED for a method the service lacks`, async () => {
    await using connect = open();
    const client = await connect(tasks, {});
    const wanted = ["UNIMPLEMENTED", `unknown method Pause for service ${tasks}`];
    assert.deepEqual(await codeOf(client.Pause({ containerId: "x" })), wanted);
    const streaming = await connect(events, {});
    assert.equal(
      (await codeOf(streaming.Subscribe({})[Symbol.asyncIterator]().next()))[0],
      "UNIMPLEMENTED",
    );
  });

  test(`${name}: tells a handler that the caller left`, async () => {
    await using connect = open();
    const { promise: told, resolve: tell } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const client = await connect(tasks, {
      Wait: (_request, ctx) => {
        ctx.signal.addEventListener("abort", () => tell());
        begin();
        return new Promise(() => {});
      },
    });
    const abort = new AbortController();
    const call = codeOf(client.Wait({ containerId: "x" }, { signal: abort.signal }));
    await begun;
    abort.abort();
    assert.equal((await call)[0], "CANCELLED");
    await told;
  });

  test(`${name}: answers DEADLINE_EXCEEDED when a timeout ends the call`, async () => {
    await using connect = open();
    const client = await connect(tasks, { Wait: () => new Promise(() => {}) });
    const call = client.Wait({ containerId: "x" }, { signal: AbortSignal.timeout(20) });
    const keep = setTimeout(() => {}, 10_000);
    assert.equal((await codeOf(call))[0], "DEADLINE_EXCEEDED");
    clearTimeout(keep);
    const late = client.Wait({ containerId: "x" }, { signal: AbortSignal.abort() });
    assert.equal((await codeOf(late))[0], "CANCELLED");
  });

  test(`${name}: streams answers, then the failure`, async () => {
    await using connect = open();
    const client = await connect(containers, {
      ListStream: async function* (request) {
        for (const id of request.filters) yield { container: { id } };
        throw fault("UNAVAILABLE", "no more");
      },
    });
    const ids: (string | undefined)[] = [];
    const read = async (): Promise<void> => {
      for await (const { container } of client.ListStream({ filters: ["a", "b"] })) {
        ids.push(container?.id);
      }
    };
    assert.deepEqual(await codeOf(read()), ["UNAVAILABLE", "no more"]);
    assert.deepEqual(ids, ["a", "b"]);
  });

  test(`${name}: ends a stream's handler when the caller leaves the loop`, async () => {
    await using connect = open();
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const client = await connect(events, {
      Subscribe: async function* (_request, { signal }) {
        signal.addEventListener("abort", () => resolve());
        yield { topic: "/one" };
        await new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason)),
        );
      },
    });
    for await (const { topic } of client.Subscribe({})) {
      assert.equal(topic, "/one");
      break;
    }
    await ended;
  });

  test(`${name}: ends a stream whose caller's signal fires between two answers`, async () => {
    await using connect = open();
    const { promise: deaf, resolve } = Promise.withResolvers<void>();
    const client = await connect(events, {
      Subscribe: async function* () {
        yield { topic: "/one" };
        await deaf;
      },
    });
    const abort = new AbortController();
    const read = async (): Promise<void> => {
      for await (const _ of client.Subscribe({}, { signal: abort.signal })) abort.abort();
    };
    assert.deepEqual((await codeOf(read()))[0], "CANCELLED");
    resolve();
  });

  test(`${name}: streams more than fits in flight`, async () => {
    await using connect = open();
    const count = 3000;
    const client = await connect(containers, {
      ListStream: async function* () {
        for (let n = 0; n < count; n += 1)
          yield { container: { id: `${n}`, image: "x".repeat(1000) } };
      },
    });
    let seen = 0;
    for await (const { container } of client.ListStream({})) {
      assert.equal(container?.id, `${seen}`);
      seen += 1;
    }
    assert.equal(seen, count);
  });

  test(`${name}: talks in both directions`, async () => {
    await using connect = open();
    const client = await connect(content, {
      Write: async function* (requests) {
        for await (const { ref, offset } of requests) yield { digest: ref, offset: offset + 1n };
      },
    });
    async function* ask(): AsyncGenerator<{ ref: string; offset: bigint }> {
      yield { ref: "a", offset: 1n };
      yield { ref: "b", offset: 2n };
    }
    const answers: unknown[] = [];
    for await (const { digest, offset } of client.Write(ask())) answers.push([digest, offset]);
    assert.deepEqual(answers, [
      ["a", 2n],
      ["b", 3n],
    ]);
  });
}

async function withServer(
  impl: ServiceImpl<typeof tasks>,
  options: Omit<ConstructorParameters<typeof GrpcServer>[0], "path">,
  body: (server: GrpcServer, client: ServiceClient<typeof tasks>) => Promise<void>,
  endAtShutdown: (keyof ServiceImpl<typeof tasks>)[] = [],
): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth-rpc-"));
  try {
    await using server = new GrpcServer({
      path: path.join(folder, "sub dir", "a.sock"),
      ...options,
    });
    server.add(tasks, impl, { endAtShutdown });
    await server.listen();
    using connection = connectGrpc(server.path, { maxMessageBytes: 64 * 1024 * 1024 });
    await body(server, connection.client(tasks));
  } finally {
    removeFolderSync(folder);
  }
}

test("gRPC: an answer over the limit is RESOURCE_EXHAUSTED with a text that says so", async () => {
  const impl: ServiceImpl<typeof tasks> = {
    List: async () => ({ tasks: [{ id: "x".repeat(5000) }] }),
  };
  await withServer(impl, { maxSendBytes: 4096 }, async (_server, client) => {
    const [code, message] = await codeOf(client.List({}));
    assert.equal(code, "RESOURCE_EXHAUSTED");
    assert.match(message, /Tasks\/List is too large: at least 50\d\d bytes, the limit is 4096/);
  });
});

test("gRPC: a failure's text that no header holds is shortened in its middle", async () => {
  await using connect = openGrpc();
  const client = await connect(tasks, {
    Pause: async ({ containerId }) => {
      throw fault("NOT_FOUND", `container "${containerId}" not found`);
    },
  });
  const [code, message] = await codeOf(client.Pause({ containerId: "ü".repeat(70_000) }));
  assert.equal(code, "NOT_FOUND");
  assert.match(message, /^container "ü+ … \d+ characters left out … ü+" not found$/);
});

test("gRPC: a request over the limit is RESOURCE_EXHAUSTED", async () => {
  await withServer({ List: async () => ({}) }, { maxRecvBytes: 4096 }, async (_server, client) => {
    assert.equal(
      (await codeOf(client.List({ filter: "x".repeat(5000) })))[0],
      "RESOURCE_EXHAUSTED",
    );
    await client.List({});
  });
});

test("gRPC: of a namespace or lease that was set twice, the newer counts", async () => {
  await using connect = openGrpc();
  const seen: unknown[] = [];
  const client = await connect(tasks, {
    Pause: async (_request, ctx) => {
      seen.push(ctx.namespace, ctx.headers["containerd-lease"], ctx.headers["x-one"]);
      return {};
    },
  });
  // As HTTP/2 joins what a Go client sends: the newer one first.
  const headers = { "containerd-lease": "l2, l1", "x-one": "1, 2" };
  await client.Pause({ containerId: "x" }, { namespace: "new, old", headers });
  assert.deepEqual(seen, ["new", "l2", "1, 2"]);
});

test("gRPC: every call is reported once, with code and sizes", async () => {
  const reports: string[] = [];
  const impl: ServiceImpl<typeof tasks> = {
    List: async () => ({}),
    Get: async () => {
      throw fault("NOT_FOUND", "none");
    },
  };
  const onCall: ConstructorParameters<typeof GrpcServer>[0]["onCall"] = (r) =>
    reports.push(
      `${r.service}/${r.method} ${r.namespace} ${r.code} ${r.requestBytes} ${r.responseBytes}`,
    );
  await withServer(impl, { onCall }, async (server, client) => {
    await client.List({ filter: "abc" }, { namespace: "n" });
    await codeOf(client.Get({}));
    assert.deepEqual(reports, [`${tasks}/List n OK 5 0`, `${tasks}/Get undefined NOT_FOUND 0 0`]);
    assert.equal(server.inFlight, 0);
  });
});

test("gRPC: the socket has its mode, is refused while live, reused when stale, removed at close", async () => {
  await withServer({}, {}, async (server) => {
    assert.equal(statSync(server.path).mode & 0o777, 0o660);
    const second = new GrpcServer({ path: server.path });
    assert.equal((await codeOf(second.listen()))[0], "ALREADY_EXISTS");
    await server.close();
    assert.throws(() => statSync(server.path), { code: "ENOENT" });
    await second.close();
  });
});

test("gRPC: a socket that a killed daemon left is replaced, another file is not", async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth-rpc-"));
  try {
    const file = path.join(folder, "a.sock");
    // In place, and where it was bound before it got its name.
    for (const left of [file, `${file}.~`]) {
      const dead = net.createServer().listen(`${file}.bound`);
      await once(dead, "listening");
      renameSync(`${file}.bound`, left);
      await new Promise((resolve) => dead.close(resolve));
    }
    {
      await using server = new GrpcServer({ path: file });
      await server.listen();
    }
    const below = path.join(folder, "a file", "a.sock");
    writeFileSync(path.dirname(below), "");
    mkdirSync(`${path.join(folder, "b.sock")}.~`);
    writeFileSync(file, "");
    for (const taken of [file, path.join(folder, "b.sock"), below]) {
      await using other = new GrpcServer({ path: taken });
      const [code, message] = await codeOf(other.listen());
      assert.equal(code, "FAILED_PRECONDITION");
      assert.match(message, /^cannot listen on .*: (?:it exists and is no socket|a part of it is)/);
    }
    await using long = new GrpcServer({ path: path.join(folder, "x".repeat(100)) });
    assert.equal((await codeOf(long.listen()))[0], "INVALID_ARGUMENT");
  } finally {
    removeFolderSync(folder);
  }
});

test("gRPC: a further socket serves the same, with the same rights, until it is disposed", async () => {
  await withServer({ Start: async () => ({ pid: 9 }) }, {}, async (server) => {
    const file = path.join(path.dirname(server.path), "not there yet", "further.sock");
    for (const round of [1, 2]) {
      const further = await server.listenAlso(file);
      const stats = statSync(file);
      assert.deepEqual([stats.isSocket(), stats.mode & 0o777], [true, 0o660]);
      using connection = connectGrpc(file);
      assert.equal((await connection.client(tasks).Start({})).pid, 9, `round ${round}`);
      const [code, message] = await codeOf(server.listenAlso(file));
      assert.equal(code, "ALREADY_EXISTS");
      assert.ok(
        message.endsWith(`is listening there: node-MainThread (pid ${process.pid})`),
        message,
      );
      further[Symbol.dispose]();
      assert.equal(statSync(file, { throwIfNoEntry: false }), undefined);
      const gone = codeOf(
        connection.client(tasks).Start({}, { signal: AbortSignal.timeout(60_000) }),
      );
      assert.equal((await gone)[0], "UNAVAILABLE");
    }
    const again = await server.listenAlso(file);
    renameSync(file, `${file}.moved`);
    writeFileSync(file, "somebody else's");
    again[Symbol.dispose]();
    assert.ok(statSync(file).isFile());
    await server.listenAlso(`${file}.2`);
    await server.close();
    assert.equal(statSync(`${file}.2`, { throwIfNoEntry: false }), undefined);
    assert.equal((await codeOf(server.listenAlso(`${file}.3`)))[0], "FAILED_PRECONDITION");
  });
});

test("gRPC: close lets a call finish, and ends what waits", async () => {
  const { promise: release, resolve } = Promise.withResolvers<void>();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  let count = 0;
  const impl: ServiceImpl<typeof tasks> = {
    Start: async () => {
      if (++count === 2) begin();
      await release;
      return { pid: 9 };
    },
    Wait: (_request, { signal }) => {
      if (++count === 2) begin();
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason)),
      );
    },
  };
  const body = async (server: GrpcServer, client: ServiceClient<typeof tasks>): Promise<void> => {
    const start = client.Start({});
    const wait = codeOf(client.Wait({}));
    await begun;
    const closed = server.close();
    assert.deepEqual(await wait, ["UNAVAILABLE", "the daemon is shutting down"]);
    resolve();
    assert.equal((await start).pid, 9);
    await closed;
  };
  await withServer(impl, {}, body, ["Wait"]);
});

test("gRPC: close ends although a client neither reads nor leaves", async () => {
  await withServer({}, {}, async (server) => {
    const client = net.connect(server.path);
    await once(client, "connect");
    client.pause();
    try {
      await server.close({ signal: AbortSignal.timeout(50) });
      assert.equal(server.inFlight, 0);
    } finally {
      client.destroy();
    }
  });
});

test("gRPC: grpc-js' own copy of protobufjs is never loaded", () => {
  const loaded = Object.keys(createRequire(import.meta.url).cache);
  const foreign = loaded.filter((file) => /proto-loader/.test(file));
  assert.deepEqual(foreign, []);
  const copies = new Set(loaded.map((file) => /.*\/protobufjs\//.exec(file)?.[0]).filter(Boolean));
  assert.equal(copies.size <= 1, true, [...copies].join(", "));
});
