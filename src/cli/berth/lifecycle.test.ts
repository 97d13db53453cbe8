// SPDX-License-Identifier: Apache-2.0
// `berth task|container|namespace|events` over gRPC, on the real services over a fake runtime.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough } from "node:stream";
import { after, before, beforeEach, test } from "node:test";
import { containerInit, type FakeServices, fakeServices } from "../../../test/support/services.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { GrpcServer } from "../../rpc/grpc-server.ts";
import { inProcessClient } from "../../rpc/in-process.ts";
import { buildBerth } from "../berth-program.ts";
import { runProgram } from "../run-program.ts";
import type { Terminal } from "../terminal.ts";

const folder = mkdtempSync(path.join(tmpdir(), "berth cli "));
const socket = path.join(folder, "b.sock");
const context = { signal: new AbortController().signal, namespace: "dev" };
let fakes: FakeServices;
let server: GrpcServer;

before(async () => {
  fakes = fakeServices();
  server = new GrpcServer({ path: socket });
  server.add("containerd.services.tasks.v1.Tasks", fakes.tasks, { endAtShutdown: ["Wait"] });
  server.add("containerd.services.containers.v1.Containers", fakes.containers);
  server.add("containerd.services.namespaces.v1.Namespaces", fakes.namespaces);
  server.add("containerd.services.events.v1.Events", fakes.events);
  await server.listen();
});
after(async () => {
  await server.close();
  removeFolderSync(folder);
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** One command; `out` is what it prints and what its process does. */
async function berth(...args: string[]): Promise<Ran> {
  let out = "";
  let err = "";
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end();
  stdout.on("data", (bytes: Buffer) => (out += bytes.toString()));
  stderr.on("data", (bytes: Buffer) => (err += bytes.toString()));
  const nothing = { [Symbol.dispose]: () => {} };
  const terminal: Terminal = {
    stdin,
    stdout,
    stderr,
    size: () => undefined,
    raw: () => undefined,
    onResize: () => nothing,
    onSignal: () => nothing,
  };
  const io = {
    out: (text: string) => void (out += text),
    error: (text: string) => void (err += text),
    env: { BERTH_ADDRESS: socket, BERTH_NAMESPACE: "dev" },
    terminal: () => terminal,
  };
  const code = await runProgram(buildBerth(io), args, io);
  return { code, out, err };
}

let id = "";
let count = 0;

async function container(args: readonly string[], labels = {}): Promise<void> {
  count += 1;
  id = `c${count}`;
  const service = inProcessClient("containerd.services.containers.v1.Containers", fakes.containers);
  await service.Create({ container: containerInit(id, { labels }, args) }, context);
}

beforeEach(() => container(["sleep", "1000"]));

test("a task's life: start, ls, ps, pause, kill, wait, delete", async () => {
  assert.equal((await berth("task", "start", "-d", id)).code, 0);
  assert.match((await berth("task", "ls")).out, new RegExp(`^${id} +\\d+ +running +-$`, "m"));
  assert.match((await berth("task", "ls", "-q")).out, new RegExp(`^${id}$`, "m"));
  assert.match((await berth("task", "ps", id)).out, /^PID +EXEC\n\d+ /);
  await berth("task", "pause", id);
  assert.match((await berth("task", "ls")).out, new RegExp(`^${id} +\\d+ +paused`, "m"));
  await berth("task", "resume", id);
  const early = await berth("task", "delete", id);
  assert.equal(early.code, 1);
  assert.equal((await berth("container", "rm", id)).code, 1);
  const waiting = berth("task", "wait", id);
  await berth("task", "kill", id, "KILL");
  assert.deepEqual(await waiting, { code: 137, out: "137\n", err: "" });
  assert.equal((await berth("task", "delete", id)).code, 137);
  assert.equal((await berth("container", "rm", id)).code, 0);
});

test("task kill sends what the image wants", async () => {
  await container(["sleep", "1000"], { "io.containerd.image.config.stop-signal": "SIGKILL" });
  await berth("task", "start", "-d", id);
  const waiting = berth("--json", "task", "wait", id);
  await berth("task", "kill", id);
  assert.deepEqual(JSON.parse((await waiting).out), { id, exitCode: 137 });
  assert.equal((await berth("task", "delete", "--force", id)).code, 0);
});

test("task start stays with it: output, exit status, and nothing left", async () => {
  await container(["sh", "-c", "echo hello"]);
  const pidFile = path.join(folder, "pid");
  const { code, out } = await berth("task", "start", "--pid-file", pidFile, id);
  assert.deepEqual([code, out], [0, "hello\n"]);
  assert.match(readFileSync(pidFile, "utf8"), /^\d+$/);
  assert.deepEqual(readdirSync(path.join(folder, "client-fifo")), []);
  await container(["sh", "-c", "exit 9"]);
  assert.equal((await berth("task", "start", "--null-io", id)).code, 9);
  assert.equal((await berth("task", "wait", id)).code, 1);
});

test("task exec stays with it, or leaves it to be waited for by its id", async () => {
  await berth("task", "start", "-d", id);
  const exec = await berth("task", "exec", id, "sh", "-c", "echo --json -n");
  assert.deepEqual([exec.code, exec.out], [0, "--json -n\n"]);
  assert.equal((await berth("task", "exec", id, "sh", "-c", "exit 4")).code, 4);
  const missing = await berth("task", "exec", id, "nothing");
  assert.deepEqual([missing.code, missing.err], [1, 'berth: executable "nothing" not found\n']);
  const detached = await berth("task", "exec", "-d", "--exec-id", "e", id, "sleep", "9");
  assert.equal(detached.out, "e\n");
  assert.equal((await berth("task", "delete", "--force", "--exec-id", "e", id)).code, 0);
});

test("container ls, info, label and rm", async () => {
  assert.match((await berth("container", "ls")).out, new RegExp(`^${id} +docker\\.io/`, "m"));
  const { out } = await berth("container", "info", id);
  const info = JSON.parse(out) as { spec: { process: { args: string[] } } };
  assert.deepEqual(info.spec.process.args, ["sleep", "1000"]);
  assert.equal((await berth("container", "label", id, "a=b", "c=d")).out, "a=b\nc=d\n");
  assert.equal((await berth("container", "label", id, "a=")).out, "c=d\n");
  const filtered = await berth("container", "ls", "-q", "--filter", "labels.c==d");
  assert.equal(filtered.out, `${id}\n`);
  await berth("task", "start", "-d", id);
  assert.equal((await berth("container", "rm", "--force", id)).code, 0);
  assert.equal((await berth("container", "info", id)).code, 1);
});

test("namespace create, ls, label and rm", async () => {
  await berth("ns", "create", "extra", "team=a");
  assert.match((await berth("namespace", "ls")).out, /^extra +team=a$/m);
  const labels = await berth("--json", "namespace", "label", "extra", "team=", "x=y");
  assert.deepEqual(JSON.parse(labels.out), { x: "y" });
  assert.equal((await berth("namespace", "rm", "extra")).code, 0);
  const used = await berth("namespace", "rm", "dev");
  assert.match(used.err, /cannot delete namespace "dev": it still has containers/);
});

test("events prints what happens in the namespace, until its time is up", async () => {
  const over = new AbortController();
  const watching = berth(
    "events",
    "--json",
    "--timeout",
    "2s",
    "--filter",
    "topic~=^/tasks/",
  ).finally(() => over.abort());
  while (!over.signal.aborted) {
    await container(["sh", "-c", "exit 0"]);
    await berth("task", "start", "--null-io", id);
  }
  const { code, out, err } = await watching;
  assert.equal(code, 1);
  assert.match(err, /^berth: /);
  const events = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { namespace: string; topic: string; type: string });
  assert.ok(events.some(({ topic }) => topic === "/tasks/exit"));
  assert.ok(events.every(({ namespace }) => namespace === "dev"));
});

const wrong: readonly { args: readonly string[]; code?: number; says: RegExp }[] = [
  { args: ["task", "kill", "ID", "NOPE"], code: 2, says: /bad signal "NOPE"/ },
  { args: ["task", "kill", "nobody"], says: /container "nobody" not found/ },
  { args: ["task", "ps", "ID"], says: /task "c\d+" not found/ },
  {
    args: ["task", "start", "-d", "--log", "/x", "--null-io", "ID"],
    code: 2,
    says: /--log cannot go with/,
  },
  { args: ["container", "label", "ID", "x"], code: 2, says: /bad label "x": expected key=value/ },
];
for (const { args, code: expected = 1, says } of wrong) {
  test(`berth ${args.join(" ")} says what is wrong`, async () => {
    const { code, err } = await berth(...args.map((word) => (word === "ID" ? id : word)));
    assert.equal(code, expected);
    assert.match(err, says);
  });
}
