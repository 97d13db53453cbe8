// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { isFault } from "../base/errors.ts";
import { type ServeMetricsOptions, serveMetrics } from "./http.ts";
import { createMetrics } from "./registry.ts";
import { TaskSamples } from "./task-samples.ts";

const serve = (changes: Partial<ServeMetricsOptions> = {}) =>
  serveMetrics({
    address: "127.0.0.1:0",
    registry: createMetrics({ version: "1", revision: "r" }).registry,
    tasks: new TaskSamples(() => [], { reader: { sample: () => Promise.resolve(undefined) } }),
    health: () => ({ healthy: true, detail: "" }),
    ...changes,
  });

test("the endpoint serves metrics and health, and names what it does not serve", async () => {
  await using server = await serve();
  const ask = async (path: string, method = "GET") => {
    const response = await fetch(`http://${server.address}${path}`, { method });
    return {
      status: response.status,
      type: response.headers.get("content-type"),
      body: await response.text(),
      allow: response.headers.get("allow"),
      length: Number(response.headers.get("content-length")),
    };
  };
  const metrics = await ask("/metrics");
  assert.deepEqual(
    [metrics.status, metrics.type],
    [200, "text/plain; version=0.0.4; charset=utf-8"],
  );
  assert.match(metrics.body, /^berth_build_info\{/m);
  assert.equal((await ask("/metrics?name=x")).status, 200);
  const head = await ask("/metrics", "HEAD");
  assert.ok(head.status === 200 && head.body === "" && head.length > 1000);
  assert.deepEqual([(await ask("/healthz")).status, (await ask("/healthz")).body], [200, "ok\n"]);
  assert.equal((await ask("/")).status, 404);
  const post = await ask("/metrics", "POST");
  assert.deepEqual([post.status, post.allow], [405, "GET, HEAD"]);
});

test("an unhealthy daemon answers 503 with the reason, a health check that fails 500", async () => {
  await using server = await serve({ health: () => ({ healthy: false, detail: "recovering" }) });
  const response = await fetch(`http://${server.address}/healthz`);
  assert.deepEqual([response.status, await response.text()], [503, "recovering\n"]);
  await using failing = await serve({ health: () => Promise.reject(new Error("secret")) });
  const failed = await fetch(`http://${failing.address}/healthz`);
  assert.deepEqual([failed.status, await failed.text()], [500, "internal error\n"]);
});

test("addresses: none, bad ones, and one that is taken", async () => {
  await using off = await serve({ address: "" });
  assert.equal(off.address, "");
  for (const address of ["9464", "localhost", "127.0.0.1:99999", "http://x:1"]) {
    await assert.rejects(
      serve({ address }),
      (error) => isFault(error, "INVALID_ARGUMENT"),
      address,
    );
  }
  await using first = await serve();
  await assert.rejects(serve({ address: first.address }), (error) =>
    isFault(error, "ALREADY_EXISTS"),
  );
});

test("closing does not wait for a peer that says nothing", async () => {
  const server = await serve();
  const [host, port] = server.address.split(":");
  const socket = connect(Number(port), host);
  await new Promise((resolve) => socket.once("connect", resolve));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await server[Symbol.asyncDispose]();
  await closed;
});
