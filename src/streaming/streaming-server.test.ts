// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { FakeSessionHost } from "../../test/support/streaming/fake-session-host.ts";
import {
  type ClientStream,
  type SpdyClient,
  upgradeToSpdy,
} from "../../test/support/streaming/spdy-client.ts";
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
): Promise<{ server: StreamingServer; host: FakeSessionHost }> {
  const host = new FakeSessionHost();
  const config = { ...defaultConfig.streaming, ...changes };
  const server = await createStreamingServer({ config, host, log: silentLogger });
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
