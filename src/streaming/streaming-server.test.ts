// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { takeDescriptor } from "../../test/support/streaming/descriptor-of.ts";
import { FakeSessionHost } from "../../test/support/streaming/fake-session-host.ts";
import {
  type ClientStream,
  type SpdyClient,
  upgradeToSpdy,
} from "../../test/support/streaming/spdy-client.ts";
import { tunnelSpdy } from "../../test/support/streaming/tunnel-client.ts";
import { WsClient } from "../../test/support/streaming/ws-client.ts";
import { fault } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import type { StreamingConfig } from "../config/config.ts";
import { defaultConfig } from "../config/defaults.ts";
import type { ExecTarget, StreamingServer } from "./ports.ts";
import { createStreamingServer } from "./streaming-server.ts";

const call = { signal: new AbortController().signal };
const spdyVersions = [5, 4, 3, 2].map((n) => `v${n}.channel.k8s.io`).concat("channel.k8s.io");

async function serve(
  t: TestContext,
  changes: Partial<StreamingConfig> = {},
  probeMs = 5000,
): Promise<{ server: StreamingServer; host: FakeSessionHost }> {
  const host = new FakeSessionHost();
  const config = { ...defaultConfig.streaming, ...changes };
  const server = await createStreamingServer({ config, host, log: silentLogger, probeMs });
  t.after(() => server[Symbol.asyncDispose]());
  return { server, host };
}

function execOf(script: string, changes: Partial<ExecTarget> = {}): ExecTarget {
  return {
    containerId: "c",
    command: ["/bin/sh", "-c", script],
    stdin: false,
    stdout: true,
    stderr: true,
    tty: false,
    ...changes,
  };
}

interface Opened {
  readonly client: SpdyClient;
  readonly streams: Readonly<Record<string, ClientStream>>;
}

async function openExec(
  server: StreamingServer,
  target: ExecTarget,
  protocols: readonly string[] = spdyVersions,
): Promise<Opened> {
  const url = await server.exec(target, call);
  const { status, client } = await upgradeToSpdy(url, protocols);
  assert.equal(status, 101);
  assert.ok(client);
  const version = /^v(\d)/.exec(protocols[0] ?? "")?.[1] ?? "1";
  const names = ["error"];
  if (target.stdin) names.push("stdin");
  if (target.stdout) names.push("stdout");
  if (target.stderr) names.push("stderr");
  if (target.tty && Number(version) >= 3) names.push("resize");
  const streams: Record<string, ClientStream> = {};
  for (const name of names) streams[name] = await client.open({ streamtype: name });
  return { client, streams };
}

test("exec over SPDY carries both outputs and the exit code", async (t) => {
  const { server, host } = await serve(t);
  const { client, streams } = await openExec(server, execOf("echo out; echo err >&2; exit 3"));
  assert.equal(await streams["stdout"]?.text(), "out\n");
  assert.equal(await streams["stderr"]?.text(), "err\n");
  const status = JSON.parse((await streams["error"]?.text()) ?? "");
  assert.equal(status.reason, "NonZeroExitCode");
  assert.deepEqual(status.details, { causes: [{ reason: "ExitCode", message: "3" }] });
  await client.closed;
  assert.ok(client.goneAway);
  await host.allDisposed();
});

test("exec over SPDY carries stdin to its end", async (t) => {
  const { server } = await serve(t);
  const target = execOf("cat; echo done", { stdin: true });
  const { client, streams } = await openExec(server, target);
  const { stdin, stdout, error } = streams;
  assert.ok(stdin);
  await client.write(stdin, "hello ");
  await client.write(stdin, "there\n");
  client.end(stdin);
  assert.equal(await stdout?.text(), "hello there\ndone\n");
  assert.deepEqual(JSON.parse((await error?.text()) ?? ""), { metadata: {}, status: "Success" });
});

for (const input of ["", "to the end\n"]) {
  test(`exec: ${JSON.stringify(input)} that ends before a slow shim opens it arrives`, async (t) => {
    const { server, host } = await serve(t);
    const opens = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    host.beforeStdin = opens.promise;
    host.closeStdin = async () => ended.resolve();
    const url = await server.exec(execOf("cat; echo done", { stdin: true }), call);
    const client = await WsClient.connect(url, "v5.channel.k8s.io");
    client.send(0, Buffer.from(input));
    client.send(255, Buffer.from([0]));
    await ended.promise;
    await sleep(100); // in which the server let go of it
    opens.resolve();
    assert.equal(await client.closeCode, 1000);
    assert.equal(client.textOf(1), `${input}done\n`);
  });
}

test("exec: an end of input that cannot be passed on is told, unless the process has ended", async (t) => {
  const { server, host } = await serve(t);
  const cases = [
    ["sleep 4903", /the end of the input was not passed on: the shim is not there/],
    ["sleep 0.2", /"status":"Success"/],
  ] as const;
  host.closeStdin = async () => {
    throw fault("UNAVAILABLE", "the shim is not there");
  };
  for (const [script, status] of cases) {
    const url = await server.exec(execOf(script, { stdin: true }), call);
    const client = await WsClient.connect(url, "v5.channel.k8s.io");
    client.send(255, Buffer.from([0]));
    assert.equal(await client.closeCode, 1000);
    assert.match(client.textOf(3), status);
  }
  await host.allDisposed();
});

test("exec over SPDY before version 4 says failures in words, and success not at all", async (t) => {
  const { server } = await serve(t);
  for (const protocol of ["v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"]) {
    const failed = await openExec(server, execOf("exit 7"), [protocol]);
    assert.match((await failed.streams["error"]?.text()) ?? "", /exit code: 7$/);
    const good = await openExec(server, execOf("true"), [protocol]);
    assert.equal(await good.streams["error"]?.text(), "");
  }
});

test("exec delivers all output of a process that has exited already", async (t) => {
  const { server } = await serve(t);
  const bytes = 20 * 1024 * 1024;
  const target = execOf(`head -c ${bytes} /dev/urandom | tee /dev/stderr | sha256sum >&2`, {
    stderr: true,
  });
  // stderr carries the bytes and then their digest.
  const { streams } = await openExec(server, target);
  await streams["stderr"]?.ended;
  const all = Buffer.concat(streams["stderr"]?.pieces ?? []);
  const digest = createHash("sha256").update(all.subarray(0, bytes)).digest("hex");
  assert.equal(all.toString("latin1", bytes).slice(0, 64), digest);
});

test("exec does not wait for a child in the background that keeps stdout open", async (t) => {
  const { server, host } = await serve(t);
  host.drainTimeoutMs = 50;
  const { streams } = await openExec(server, execOf("echo first; sleep 60 & exit 0"));
  assert.equal(await streams["stdout"]?.text(), "first\n");
  await host.allDisposed();
});

test("exec of what does not start tells why", async (t) => {
  const { server } = await serve(t);
  const unknown = await openExec(server, execOf("", { command: ["/no/such/program"] }));
  const status = JSON.parse((await unknown.streams["error"]?.text()) ?? "");
  assert.equal(status.reason, "InternalError");
  assert.equal(status.code, 500);
  assert.match(status.message, /cannot start "\/no\/such\/program"/);
  const missing = await openExec(server, execOf("", { containerId: "missing" }));
  assert.match((await missing.streams["error"]?.text()) ?? "", /container \\"missing\\" not found/);
});

test("a client that vanishes ends its exec", async (t) => {
  const { server, host } = await serve(t);
  const { client, streams } = await openExec(server, execOf("echo up; exec sleep 60"));
  streams["stdout"]!.onData = () => client.destroy();
  await client.closed;
  await host.allDisposed();
  assert.equal(host.disposed.length, 1);
});

test("a client that vanishes with its stdin held up is noticed by a probe", async (t) => {
  const { server, host } = await serve(t, {}, 20);
  const target = execOf("exec sleep 60", { stdin: true });
  const { client, streams } = await openExec(server, target);
  const { stdin } = streams;
  assert.ok(stdin);
  const piece = Buffer.alloc(64 * 1024);
  while (client.socket.writableLength < 512 * 1024) {
    void client.write(stdin, piece).catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.destroy();
  await host.allDisposed();
});

test("a terminal's sizes reach the process, before and during", async (t) => {
  const { server, host } = await serve(t);
  const target = execOf("cat", { stdin: true, tty: true, stderr: false });
  const { client, streams } = await openExec(server, target);
  const { resize, stdin, stdout } = streams;
  assert.ok(resize && stdin);
  await client.write(resize, '{"Width":80,"Height":24}\n');
  await client.write(stdin, "x");
  await new Promise<void>((resolve) => {
    stdout!.onData = () => resolve();
  });
  await client.write(resize, '{"Width":77,"Hei');
  await client.write(resize, 'ght":33}');
  while (host.sizes.at(-1)?.width !== 77) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(host.sizes, [
    { width: 80, height: 24 },
    { width: 77, height: 33 },
  ]);
  client.end(stdin);
  await stdout?.ended;
});

test("exec over WebSocket speaks every form of the channel protocol", async (t) => {
  const { server } = await serve(t);
  const forms = [
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
    "",
  ];
  for (const form of forms) {
    const target = execOf("head -c 6; echo err >&2; exit 4", { stdin: true });
    const url = await server.exec(target, call);
    const client = await WsClient.connect(url, form);
    assert.equal(client.protocol, form);
    client.send(0, Buffer.from("hel"));
    client.send(0, Buffer.from("lo!"));
    assert.equal(await client.closeCode, 1000, form);
    assert.deepEqual(client.messages[0], { channel: 1, text: "" }, form);
    assert.equal(client.textOf(1), "hello!", form);
    assert.equal(client.textOf(2), "err\n", form);
    assert.match(client.textOf(3), form.startsWith("v") ? /"message":"4"/ : /exit code: 4$/, form);
  }
});

test("exec over WebSocket version 5 closes stdin alone", async (t) => {
  const { server } = await serve(t);
  const target = execOf("wc -c", { stdin: true });
  const client = await WsClient.connect(await server.exec(target, call), "v5.channel.k8s.io");
  const bytes = 3 * 1024 * 1024;
  client.send(0, Buffer.alloc(bytes, 0xa5)); // one message, larger than any buffer of ours
  client.socket.send(Buffer.from([255, 0]));
  assert.equal(await client.closeCode, 1000);
  assert.equal(Number(client.textOf(1)), bytes);
  assert.match(client.textOf(3), /"status":"Success"/);
});

test("a WebSocket client's pings are answered", async (t) => {
  const { server, host } = await serve(t);
  const url = await server.exec(execOf("sleep 60"), call);
  const client = await WsClient.connect(url, "v5.channel.k8s.io");
  client.socket.ping("payload");
  const [data] = (await once(client.socket, "pong")) as [Buffer];
  assert.equal(data.toString(), "payload");
  client.socket.close(1000);
  assert.equal(await client.closeCode, 1000);
  await host.allDisposed();
});

/** Stands for a pod with port 80 open: echoes, and says "bye" when its client has ended. */
async function startPod(t: TestContext, host: FakeSessionHost): Promise<void> {
  const sockets = new Set<Socket>();
  const listener = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket.once("close", () => sockets.delete(socket)));
    socket.on("error", () => {});
    socket.pipe(socket, { end: false });
    socket.on("end", () => socket.end("bye"));
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  const address = listener.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  host.dial = async (wanted) => {
    if (wanted !== 80) throw new Error(`port ${wanted}: connection refused`);
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    return takeDescriptor(socket);
  };
  t.after(() => {
    // With one that is left this process would not end, and which test it was nobody could tell.
    for (const socket of sockets) {
      t.diagnostic(`a connection into the pod is left: ${socket.bytesRead} bytes came by it`);
      socket.destroy();
    }
    listener.close();
  });
}

async function openForward(
  client: SpdyClient,
  id: string,
  port: string,
): Promise<{ readonly error: ClientStream; readonly data: ClientStream }> {
  const headers = { requestid: id, port };
  const error = await client.open({ ...headers, streamtype: "error" });
  client.end(error);
  return { error, data: await client.open({ ...headers, streamtype: "data" }) };
}

test("port-forward carries many connections and half-closes, and a refused port fails alone", async (t) => {
  const { server, host } = await serve(t);
  await startPod(t, host);
  const url = await server.portForward({ sandboxId: "p", ports: [80] }, call);
  const { client, headers } = await upgradeToSpdy(url, ["portforward.k8s.io"]);
  assert.equal(headers["x-stream-protocol-version"], "portforward.k8s.io");
  assert.ok(client);
  const names = Array.from({ length: 40 }, (_, index) => String(index));
  const pairs: Awaited<ReturnType<typeof openForward>>[] = [];
  for (const name of names) pairs.push(await openForward(client, name, name === "7" ? "81" : "80"));
  await Promise.all(
    pairs.map(async ({ data }, index) => {
      await client.write(data, `hello ${index} `);
      client.end(data);
    }),
  );
  for (const [index, { data, error }] of pairs.entries()) {
    const refused = index === 7;
    assert.equal(await data.text(), refused ? "" : `hello ${index} bye`);
    assert.equal(await error.text(), refused ? "port 81: connection refused" : "");
  }
  const late = await openForward(client, "late", "80");
  client.end(late.data);
  assert.equal(await late.data.text(), "bye");
  client.destroy();
  await host.allDisposed();
});

test("port-forward resets what names no port or no kind", async (t) => {
  const { server, host } = await serve(t);
  await startPod(t, host);
  const url = await server.portForward({ sandboxId: "p", ports: [] }, call);
  const { client } = await upgradeToSpdy(url, ["portforward.k8s.io"]);
  assert.ok(client);
  for (const port of ["0", "65536", "-1", "8o", ""]) {
    const { error, data } = await openForward(client, `bad${port}`, port);
    assert.equal(await data.ended, "reset");
    assert.match(await error.text(), /is no port/);
  }
  const odd = await client.open({ requestid: "1", port: "80", streamtype: "odd" });
  assert.equal(await odd.ended, "reset");
  client.destroy();
  await host.allDisposed();
});

test("port-forward over WebSocket names each port, tells a refused one, and ends with the last", async (t) => {
  const { server, host } = await serve(t);
  await startPod(t, host);
  const url = await server.portForward({ sandboxId: "p", ports: [80, 81] }, call);
  const client = await WsClient.connect(url, "v4.channel.k8s.io");
  client.send(0, Buffer.from("hello"));
  while (client.textOf(0).length < 7) await once(client.socket, "message");
  assert.equal(client.textOf(0), "P\0hello");
  assert.equal(client.textOf(1), "P\0");
  assert.match(client.textOf(3), /^Q\0port 81: connection refused$/);
  client.socket.close(1000);
  await host.allDisposed();
});

test("port-forward over WebSocket refuses ports in its URL that are none, and may be asked again", async (t) => {
  const { server, host } = await serve(t);
  await startPod(t, host);
  const url = await server.portForward({ sandboxId: "p", ports: [] }, call);
  for (const query of ["port=0x50", "port=8e1", "port=80,+81", "ports=65536", "port=80,"]) {
    await assert.rejects(WsClient.connect(`${url}?${query}`, "v4.channel.k8s.io"), /400/, query);
  }
  const client = await WsClient.connect(`${url}?port=80`, "v4.channel.k8s.io");
  while (client.textOf(0).length < 2) await once(client.socket, "message");
  assert.equal(client.textOf(0), "P\0");
  client.socket.close(1000);
  await host.allDisposed();
});

test("port-forward speaks SPDY in a WebSocket", async (t) => {
  const { server, host } = await serve(t);
  await startPod(t, host);
  const url = await server.portForward({ sandboxId: "p", ports: [80] }, call);
  const { client, socket } = await tunnelSpdy(url);
  const { error, data } = await openForward(client, "0", "80");
  const bytes = Buffer.alloc(5 * 1024 * 1024, "x");
  const writing = client.write(data, bytes).then(() => client.end(data));
  assert.equal((await data.text()).length, bytes.length + 3);
  assert.equal(await error.text(), "");
  await writing;
  socket.terminate();
  await host.allDisposed();
});

for (const [name, upgrade] of [
  ["a missing header", async (url: string) => upgradeToSpdy(url, [])],
  ["a request for no upgrade", async (url: string) => upgradeToSpdy(url, ["x"], { upgrade: "" })],
  [
    "an upgrade to something else",
    async (url: string) => upgradeToSpdy(url, ["x"], { upgrade: "h2c" }),
  ],
] as const) {
  test(`the server answers 400 to ${name}`, async (t) => {
    const { server } = await serve(t);
    const { status } = await upgrade(await server.exec(execOf("true"), call));
    assert.equal(status, 400);
  });
}

for (const version of ["", " HTTP/0.9", " HTTP/1.0"]) {
  test(`the server upgrades no connection after a request line with "${version}"`, async (t) => {
    const { server } = await serve(t);
    const url = await server.exec(execOf("true"), call);
    const { pathname, port } = new URL(url);
    const socket = connect(Number(port), "127.0.0.1");
    const headers = [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    socket.end([`GET ${pathname}${version}`, ...headers, "", ""].join("\r\n"));
    assert.match(await text(socket), /^HTTP\/1\.1 400 /);
    const again = await upgradeToSpdy(url, spdyVersions);
    assert.equal(again.status, 101);
    again.client?.destroy();
  });
}

test("the server answers 403 with what it speaks when there is no common protocol", async (t) => {
  const { server } = await serve(t);
  const url = await server.exec(execOf("true"), call);
  const { status, headers } = await upgradeToSpdy(url, ["v9.channel.k8s.io"]);
  assert.equal(status, 403);
  assert.match(String(headers["x-accepted-stream-protocol-versions"]), /v5.channel.k8s.io, .*v4/);
  await assert.rejects(WsClient.connect(url, "v9.channel.k8s.io"), /403/);
  const again = await upgradeToSpdy(url, spdyVersions);
  assert.equal(again.status, 101); // a refused upgrade does not use the URL up
  again.client?.destroy();
});

test("the server answers 404 to a used, a wrong and an unknown URL, and 405 to a method", async (t) => {
  const { server } = await serve(t);
  const url = await server.exec(execOf("sleep 1"), call);
  assert.equal((await upgradeToSpdy(url, spdyVersions, { method: "PUT" })).status, 405);
  const other = url.replace("/exec/", "/attach/");
  assert.equal((await upgradeToSpdy(other, spdyVersions)).status, 404);
  const { client } = await upgradeToSpdy(url, spdyVersions);
  for (const wrong of [url, `${url}x`, url.replace("exec", "run"), new URL("/", url).href]) {
    assert.equal((await upgradeToSpdy(wrong, spdyVersions)).status, 404);
  }
  client?.destroy();
});

test("the server refuses more sessions than are configured, and none is lost by it", async (t) => {
  const { server, host } = await serve(t, { maxSessions: 1 });
  const first = await openExec(server, execOf("exec sleep 60"));
  const url = await server.exec(execOf("true"), call);
  assert.equal((await upgradeToSpdy(url, spdyVersions)).status, 503);
  first.client.destroy();
  await host.allDisposed();
  const { client } = await upgradeToSpdy(url, spdyVersions);
  assert.ok(client);
  client.destroy();
});

test("a client that opens too few streams is cut off, and nothing was run", async (t) => {
  const { server, host } = await serve(t, { creationTimeoutMs: 50 });
  const url = await server.exec(execOf("true"), call);
  const { client } = await upgradeToSpdy(url, spdyVersions);
  await client?.open({ streamtype: "error" });
  await client?.closed;
  assert.deepEqual(host.disposed, []);
});

for (const [name, target] of [
  ["no stream", { stdout: false, stderr: false }],
  ["tty with stderr", { tty: true }],
  ["no command", { command: [] }],
] as const) {
  test(`exec with ${name} is INVALID_ARGUMENT`, async (t) => {
    const { server } = await serve(t);
    await assert.rejects(server.exec(execOf("true", target), call), { code: "INVALID_ARGUMENT" });
  });
}

test("a second server on the address is told so", async (t) => {
  const { server } = await serve(t);
  const config = { ...defaultConfig.streaming, address: server.address };
  const starting = createStreamingServer({
    config,
    host: new FakeSessionHost(),
    log: silentLogger,
  });
  await assert.rejects(starting, { code: "ALREADY_EXISTS" });
});

test("a session without traffic is closed after its idle time", async (t) => {
  const { server, host } = await serve(t, { idleTimeoutMs: 1000 }, 20);
  const { client } = await openExec(server, execOf("exec sleep 60"));
  await client.closed;
  await host.allDisposed();
});

test("closing the server ends its sessions", async (t) => {
  const { server, host } = await serve(t);
  const { client } = await openExec(server, execOf("exec sleep 60"));
  await server[Symbol.asyncDispose]();
  await client.closed;
  assert.equal(host.open, 0);
  await assert.rejects(server.exec(execOf("true"), call), { code: "UNAVAILABLE" });
});

test("a worker that dies ends its sessions, and another serves on the same address", async (t) => {
  const host = new FakeSessionHost();
  const entry = new URL("../../test/support/streaming/mortal-worker.ts", import.meta.url);
  const config = defaultConfig.streaming;
  await using server = await createStreamingServer({ config, host, log: silentLogger, entry });
  const channel = new BroadcastChannel("streaming worker, die");
  t.after(() => channel.close());
  const { client } = await openExec(server, execOf("exec sleep 60"));
  const { address } = server;
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- no window here
  channel.postMessage("");
  await client.closed;
  await host.allDisposed();
  const answers = async (): Promise<boolean> => {
    try {
      const { streams } = await openExec(server, execOf("echo alive"));
      return (await streams["stdout"]?.text()) === "alive\n";
    } catch {
      await new Promise((resolve) => setImmediate(resolve));
      return false; // not up yet
    }
  };
  while (!(await answers()));
  assert.equal(server.address, address);
});

test("who asks a worker that answers nothing waits as long as he likes", async (t) => {
  const host = new FakeSessionHost();
  const entry = new URL("../../test/support/streaming/silent-worker.ts", import.meta.url);
  const config = defaultConfig.streaming;
  const server = await createStreamingServer({ config, host, log: silentLogger, entry });
  t.after(() => server[Symbol.asyncDispose]());
  const waiting = server.exec(execOf("true"), { signal: AbortSignal.timeout(20) });
  await assert.rejects(waiting, { name: "TimeoutError" });
});
