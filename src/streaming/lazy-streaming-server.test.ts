// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { LazyStreamingServer, startOrWait } from "./lazy-streaming-server.ts";
import type {
  ExecTarget,
  LimitedStreamingServer,
  PortForwardTarget,
  StreamingLimits,
} from "./ports.ts";

const call = { signal: new AbortController().signal };
const target: ExecTarget = {
  containerId: "c",
  command: ["true"],
  stdin: false,
  stdout: true,
  stderr: true,
  tty: false,
};

function fakeServer(disposed: string[]): LimitedStreamingServer {
  return {
    address: "127.0.0.1:1",
    exec: async ({ containerId }) => `exec ${containerId}`,
    attach: async ({ containerId }) => `attach ${containerId}`,
    portForward: async () => "port-forward",
    limit: ({ maxSessions }) => void disposed.push(`limit ${maxSessions}`),
    [Symbol.asyncDispose]: async () => void disposed.push("server"),
  };
}

test("LazyStreamingServer starts once, with the first session, and ends what it started", async () => {
  const disposed: string[] = [];
  let starts = 0;
  const server = new LazyStreamingServer(async () => {
    starts += 1;
    return fakeServer(disposed);
  });
  assert.deepEqual([starts, server.address], [0, ""]);
  const urls = await Promise.all([server.exec(target, call), server.attach(target, call)]);
  assert.deepEqual(urls, ["exec c", "attach c"]);
  assert.deepEqual([starts, server.address], [1, "127.0.0.1:1"]);
  await server[Symbol.asyncDispose]();
  assert.deepEqual(disposed, ["server"]);
  await assert.rejects(server.exec(target, call), { code: "UNAVAILABLE" });
});

test("startOrWait starts now what the configuration can make fail, and waits with the rest", async () => {
  const any = "127.0.0.1:0";
  const cases = [
    { address: any, tlsCertFile: "", now: 0 },
    { address: any, tlsCertFile: "/etc/tls.crt", now: 1 },
    { address: "127.0.0.1:10010", tlsCertFile: "", now: 1 },
  ];
  for (const { now, ...config } of cases) {
    let starts = 0;
    await startOrWait(config, async () => {
      starts += 1;
      return fakeServer([]);
    });
    assert.equal(starts, now, JSON.stringify(config));
  }
});

test("LazyStreamingServer tries again after a start that failed", async () => {
  let starts = 0;
  await using server = new LazyStreamingServer(async () => {
    starts += 1;
    if (starts === 1) throw new Error("no port");
    return fakeServer([]);
  });
  await assert.rejects(server.exec(target, call), /no port/);
  assert.equal(await server.exec(target, call), "exec c");
});

test("LazyStreamingServer that nobody used ends without a start", async () => {
  const server = new LazyStreamingServer(() => Promise.reject(new Error("started")));
  await server[Symbol.asyncDispose]();
});

test("LazyStreamingServer passes new limits on once it runs", async () => {
  const seen: string[] = [];
  const limits = { maxSessions: 7 } as StreamingLimits;
  await using server = new LazyStreamingServer(async () => fakeServer(seen));
  server.limit(limits);
  const forward = { sandboxId: "s", ports: [80] } as unknown as PortForwardTarget;
  assert.equal(await server.portForward(forward, call), "port-forward");
  assert.deepEqual(seen, [], "it was started with the limits of then");
  server.limit(limits);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen, ["limit 7"]);
});

test("LazyStreamingServer lets a caller go who will not wait for its start, and serves the next", async () => {
  const up = Promise.withResolvers<void>();
  await using server = new LazyStreamingServer(async () => {
    await up.promise;
    return fakeServer([]);
  });
  const abort = new AbortController();
  const calls = [
    server.exec(target, abort),
    server.attach(target, abort),
    server.portForward({} as PortForwardTarget, abort),
  ];
  abort.abort(new Error("enough"));
  for (const one of calls) await assert.rejects(one, /enough/);
  up.resolve();
  assert.equal(await server.exec(target, call), "exec c");
});
