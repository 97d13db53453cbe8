// SPDX-License-Identifier: Apache-2.0
// A shim v2 that is none of runc's: it runs a task's command on the host as it is, and writes down what it
// was given. One process serves one task. `RECORD=FOLDER plain-shim.ts [flags] start | delete | serve SOCKET`
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fault } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/logger.ts";
import type { ProtoAny } from "../../src/gen/wellknown.gen.ts";
import { codec } from "../../src/rpc/codec.ts";
import type { ServiceImpl } from "../../src/rpc/service.ts";
import { timestampOf } from "../../src/rpc/timestamp.ts";
import { TtrpcRegistry } from "../../src/ttrpc/registry.ts";
import { TtrpcServer } from "../../src/ttrpc/server.ts";

const record = process.env["RECORD"] ?? "";
const args = process.argv.slice(2);

/** One file a call: the type and, in base64, the value of the options it came with. */
function write(call: "start" | "create", id: string, any: ProtoAny): void {
  const told = { type: any.type_url, value: Buffer.from(any.value).toString("base64") };
  writeFileSync(path.join(record, `${id}.${call}`), JSON.stringify(told));
}

function flag(name: string): string {
  return args[args.indexOf(`-${name}`) + 1] ?? "";
}

async function start(): Promise<void> {
  const id = flag("id");
  write("start", id, codec("google.protobuf.Any").decode(readFileSync(0)));
  const socket = path.join(record, `${id.slice(0, 12)}.sock`);
  const server = spawn(
    process.execPath,
    [import.meta.filename, ...args.slice(0, -1), "serve", socket],
    {
      detached: true,
      stdio: "ignore",
    },
  );
  server.unref();
  while (!existsSync(socket)) await sleep(20);
  process.stdout.write(`unix://${socket}`);
}

class PlainTask {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  isStarted = false;
  end: { readonly status: number; readonly at: Date } | undefined;

  constructor(bundle: string, stdout: string, stderr: string) {
    const { process: init } = JSON.parse(
      readFileSync(path.join(bundle, "config.json"), "utf8"),
    ) as {
      process: { args: string[] };
    };
    const command = init.args[0] === "/pause" ? ["sleep", "1000000"] : init.args;
    // For reading, too: a FIFO without a reader would hold us up.
    const output = [stdout, stderr].map((file) => openSync(file === "" ? "/dev/null" : file, "r+"));
    this.child = spawn("sh", ["-c", 'read go && exec "$@"', "sh", ...command], {
      stdio: ["pipe", ...output],
    });
    for (const fd of output) closeSync(fd);
    this.exited = new Promise((resolve) => {
      this.child.once("exit", (code, signal) => {
        this.end = { status: code ?? (signal === "SIGKILL" ? 137 : 143), at: new Date() };
        resolve();
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  exit() {
    const at = BigInt(this.end?.at.getTime() ?? 0) * 1_000_000n;
    return { pid: this.pid, exitStatus: this.end?.status ?? 0, exitedAt: timestampOf(at) };
  }
}

async function serve(socket: string): Promise<void> {
  const tasks = new Map<string, PlainTask>();
  const taskOf = (id: string): PlainTask => {
    const task = tasks.get(id);
    if (task === undefined) throw fault("NOT_FOUND", `task "${id}" not found`);
    return task;
  };
  const impl: ServiceImpl<"containerd.task.v2.Task"> = {
    Create: async ({ id, bundle, stdout, stderr, options }) => {
      write("create", id, options ?? { type_url: "", value: Buffer.alloc(0) });
      const task = new PlainTask(bundle, stdout, stderr);
      tasks.set(id, task);
      return { pid: task.pid };
    },
    Start: async ({ id }) => {
      const task = taskOf(id);
      task.isStarted = true;
      task.child.stdin?.end("go\n");
      return { pid: task.pid };
    },
    State: async ({ id }) => {
      const task = taskOf(id);
      const status = task.end ? "STOPPED" : task.isStarted ? "RUNNING" : "CREATED";
      return { id, status, ...task.exit() };
    },
    Wait: async ({ id }) => {
      const task = taskOf(id);
      await task.exited;
      return task.exit();
    },
    Kill: async ({ id, signal }) => {
      const task = taskOf(id);
      if (task.end) throw fault("NOT_FOUND", "process already finished");
      process.kill(task.pid, signal);
      return {};
    },
    Delete: async ({ id }) => {
      const task = taskOf(id);
      if (!task.end) throw fault("FAILED_PRECONDITION", "task is still running");
      tasks.delete(id);
      return task.exit();
    },
    Pids: async ({ id }) => ({ processes: [{ pid: taskOf(id).pid }] }),
    Connect: async ({ id }) => ({
      shimPid: process.pid,
      taskPid: tasks.get(id)?.pid ?? 0,
      version: "1",
    }),
    Shutdown: async () => {
      if (tasks.size === 0) setImmediate(() => process.kill(process.pid, "SIGTERM"));
      return {};
    },
  };
  const registry = new TtrpcRegistry().register("containerd.task.v2.Task", impl);
  await TtrpcServer.listen({ path: socket, registry, log: silentLogger });
}

if (args.at(-1) === "start") await start();
else if (args.at(-2) === "serve") await serve(args.at(-1) ?? "");
else if (args.at(-1) === "delete") {
  process.stdout.write(codec("containerd.task.v3.DeleteResponse").encode({ exitStatus: 137 }));
}
