// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { makeFifo, openFifoReader } from "../../../src/base/os/fifo.ts";
import { unmountBelow } from "../../../src/base/os/mount-table.ts";
import { run } from "../../../src/base/process.ts";
import { unpackAny } from "../../../src/rpc/codec.ts";
import { until } from "../../support/until.ts";
import {
  availableShims,
  execSpec,
  lacking,
  launches,
  namespace,
  processOf,
  Rig,
  within,
} from "./rig.ts";

const skip = lacking();
const newId = (): string => `t${randomBytes(6).toString("hex")}`;

function onEveryShim(name: string, body: (rig: Rig, t: TestContext) => Promise<void>): void {
  for (const shim of availableShims()) {
    for (const launch of launches) {
      test(`${name} (${path.basename(shim)}, ${launch})`, {
        skip: skip ?? false,
        timeout: 120_000,
      }, async (t) => {
        await using rig = await Rig.make(shim, launch);
        await body(rig, t);
      });
    }
  }
  if (availableShims().length === 0) test(name, { skip: skip ?? "needs a shim" });
}

/** Opens a FIFO for a stream and collects what comes until its end. */
function collect(fifo: string): { text: Promise<string> } {
  makeFifo(fifo);
  const socket = new Socket({ fd: openFifoReader(fifo), readable: true, writable: false });
  const chunks: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("end", () => resolve(Buffer.concat(chunks).toString()));
  socket.on("error", reject);
  return { text: promise };
}

onEveryShim(
  "a task is created, waited for, started, and its output and exit arrive",
  async (rig) => {
    const id = newId();
    const [stdout, stderr] = [path.join(rig.folder, "out"), path.join(rig.folder, "err")];
    const [out, err] = [collect(stdout), collect(stderr)];
    const io = { stdin: "", stdout, stderr, terminal: false };
    const task = await rig.create(
      namespace,
      id,
      rig.options(["sh", "-c", "echo hello; echo oops >&2; exit 7"], { id, io }),
      within(),
    );
    assert.equal((await task.state("", within())).status, "CREATED");
    const exit = task.wait("", within());
    assert.equal(await task.start("", within()), task.pid);
    const { exitStatus, exitedAtNanos, pid } = await exit;
    assert.deepEqual([exitStatus, pid], [7, task.pid]);
    assert.ok(exitedAtNanos > 1_700_000_000_000_000_000n);
    assert.deepEqual([await out.text, await err.text], ["hello\n", "oops\n"]);
    assert.equal((await task.state("", within())).status, "STOPPED");
    const shimPid = task.shim.pid;
    assert.equal((await task.delete("", within())).exitStatus, 7);
    assert.equal(rig.manager.get(namespace, id), undefined);
    assert.equal(existsSync(`/proc/${shimPid}/exe`), false, "the shim of the last task is gone");
    assert.equal(existsSync(task.shim.address.slice("unix://".length)), false);
    const seen = await rig.event("/tasks/exit");
    assert.equal(unpackAny("containerd.events.TaskExit", seen.event)?.exitStatus, 7);
    await rig.event("/tasks/delete");
    await assert.rejects(
      task.state("", within()).then((state) => state.status === "RUNNING" || Promise.reject(state)),
    );
  },
);

onEveryShim("the task calls work on a running task", async (rig) => {
  const id = newId();
  const task = await rig.create(namespace, id, rig.options(["sleep", "1000"], { id }), within());
  await assert.rejects(rig.create(namespace, id, rig.options(["true"], { id }), within()), {
    code: "ALREADY_EXISTS",
  });
  await task.start("", within());
  const clamped = Number(readFileSync(`/proc/${task.pid}/oom_score_adj`, "utf8"));
  assert.ok(clamped <= 1000);
  assert.ok(Number(readFileSync(`/proc/${task.shim.pid}/oom_score_adj`, "utf8")) >= 1);
  assert.deepEqual(
    (await task.pids(within())).map((each) => each.pid),
    [task.pid],
  );
  assert.match((await task.stats(within())).type_url, /cgroups\.v[12]\.Metrics$/);

  const execIo = { stdin: "", stdout: "", stderr: "", terminal: false };
  await task.exec({ execId: "e1", io: execIo, spec: execSpec(["sh", "-c", "exit 5"]) }, within());
  const exit = task.wait("e1", within());
  const execPid = await task.start("e1", within());
  assert.deepEqual((await exit).exitStatus, 5);
  assert.equal((await exit).pid, execPid);
  assert.equal((await task.delete("e1", within())).exitStatus, 5);

  await task.exec({ execId: "e1", io: execIo, spec: execSpec(["no-such-program"]) }, within());
  await assert.rejects(task.start("e1", within()), { code: "INVALID_ARGUMENT" });
  await task.delete("e1", within());

  await task.pause(within());
  assert.equal((await task.state("", within())).status, "PAUSED");
  await task.resume(within());
  await task.update(
    {
      resources: {
        type_url: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources",
        value: Buffer.from(JSON.stringify({ pids: { limit: 77 } })),
      },
      annotations: {},
    },
    within(),
  );

  await assert.rejects(task.delete("", within()), { code: "FAILED_PRECONDITION" });
  await assert.rejects(task.wait("nobody", within()), { code: "NOT_FOUND" });
  await assert.rejects(task.state("nobody", within()), { code: "NOT_FOUND" });
  const gaveUp = new AbortController();
  const abandoned = task.wait("", { signal: gaveUp.signal });
  gaveUp.abort();
  await assert.rejects(abandoned, { code: "CANCELLED" });

  const end = task.wait("", within());
  await task.kill({ execId: "", signal: 15, all: false }, within());
  await task.kill({ execId: "", signal: 9, all: false }, within()).catch(() => {});
  assert.ok([137, 143].includes((await end).exitStatus));
  await assert.rejects(task.kill({ execId: "", signal: 9, all: false }, within()), {
    code: "NOT_FOUND",
  });
  const [first, second] = await Promise.all([task.delete("", within()), task.delete("", within())]);
  assert.deepEqual(first, second);
});

onEveryShim("containers of a sandbox share its shim and outlive its task", async (rig) => {
  const [pod, one, two] = [newId(), newId(), newId()];
  const sandbox = await rig.create(
    namespace,
    pod,
    rig.options(["sleep", "1000"], { id: pod, sandboxId: pod }),
    within(),
  );
  await sandbox.start("", within());
  const [first, second] = await Promise.all(
    [one, two].map(async (id) => {
      const options = rig.options(["sleep", "1000"], { id, sandboxId: pod });
      const task = await rig.create(namespace, id, options, within());
      await task.start("", within());
      return task;
    }),
  );
  assert.ok(first && second);
  assert.equal(first.shim.pid, sandbox.shim.pid);
  assert.equal(second.shim.pid, sandbox.shim.pid);
  assert.equal(rig.processes().length, 1);

  await sandbox.kill({ execId: "", signal: 9, all: true }, within());
  await sandbox.wait("", within());
  await sandbox.delete("", within());
  assert.equal((await first.state("", within())).status, "RUNNING");

  const manager = await rig.restart();
  const report = await manager.recover(within());
  assert.deepEqual(report.lost, []);
  assert.deepEqual(report.recovered.map((each) => each.id).sort(), [one, two].sort());
  for (const id of [one, two]) {
    const task = manager.get(namespace, id);
    assert.ok(task);
    assert.equal(task.sandboxId, pod);
    const exit = task.wait("", within());
    await task.kill({ execId: "", signal: 9, all: false }, within());
    assert.equal((await exit).exitStatus, 137);
    await task.delete("", within());
  }
  assert.equal(rig.processes().length, 0);
});

onEveryShim("tasks whose helper answers one address share one connection", async (rig) => {
  const group = newId();
  const ids = [newId(), newId()];
  const tasks = await Promise.all(
    ids.map((id) => {
      const options = rig.options(["sleep", "1000"], { id });
      const spec = JSON.parse(Buffer.from(options.spec).toString()) as Record<string, unknown>;
      spec["annotations"] = { "io.containerd.runc.v2.group": group };
      return rig.create(
        namespace,
        id,
        { ...options, spec: Buffer.from(JSON.stringify(spec)) },
        within(),
      );
    }),
  );
  assert.equal(new Set(tasks.map((task) => task.shim.pid)).size, 1);
  for (const task of tasks) {
    await task.kill({ execId: "", signal: 9, all: true }, within());
    await task.wait("", within());
    await task.delete("", within());
  }
});

onEveryShim("a failed create leaves nothing behind", async (rig) => {
  const id = newId();
  await assert.rejects(
    rig.create(namespace, id, rig.options(["no-such-program"], { id }), within()),
    (error: Error & { code?: string }) => {
      assert.match(error.message, /no-such-program/);
      assert.equal(error.code, "INVALID_ARGUMENT");
      return true;
    },
  );
  assert.deepEqual(await rig.leftovers(), []);
  // A stream whose FIFO does not exist fails after runc has created the container.
  const io = { stdin: "", stdout: path.join(rig.folder, "missing"), stderr: "", terminal: false };
  const badIo = rig.options(["sleep", "1"], { id, io: { ...io, stdout: "ftp://nowhere/x" } });
  await assert.rejects(rig.create(namespace, id, badIo, within()));
  assert.deepEqual(await rig.leftovers(), []);
  // The same id works afterwards.
  const task = await rig.create(namespace, id, rig.options(["true"], { id }), within());
  const exit = task.wait("", within());
  await task.start("", within());
  assert.equal((await exit).exitStatus, 0);
  await task.delete("", within());
});

onEveryShim("a failed create beside others spares their shim", async (rig) => {
  const [pod, bad] = [newId(), newId()];
  const sandbox = await rig.create(
    namespace,
    pod,
    rig.options(["sleep", "1000"], { id: pod, sandboxId: pod }),
    within(),
  );
  await sandbox.start("", within());
  const options = rig.options(["no-such-program"], { id: bad, sandboxId: pod });
  await assert.rejects(rig.create(namespace, bad, options, within()));
  assert.equal((await sandbox.state("", within())).status, "RUNNING");
  assert.equal(existsSync(rig.bundle(bad)), false);
});

onEveryShim("an aborted create leaves nothing behind", async (rig) => {
  const id = newId();
  const gaveUp = new AbortController();
  const creating = rig.create(namespace, id, rig.options(["sleep", "1000"], { id }), {
    signal: gaveUp.signal,
  });
  setImmediate(() => gaveUp.abort());
  await assert.rejects(creating, { code: "CANCELLED" });
  assert.deepEqual(await rig.leftovers(), []);
  const late = new AbortController();
  const creatingAgain = rig.create(namespace, id, rig.options(["sleep", "1000"], { id }), {
    signal: late.signal,
  });
  await rig.event("/tasks/create"); // the shim has it, the answer is on its way
  late.abort();
  await creatingAgain.then(
    async (task) => {
      await task.kill({ execId: "", signal: 9, all: true }, within());
      await task.wait("", within());
      await task.delete("", within());
    },
    () => {},
  );
  assert.deepEqual(await rig.leftovers(), []);
});

onEveryShim("a killed shim gives every wait an exit and leaves nothing running", async (rig) => {
  const [pod, one] = [newId(), newId()];
  const sandbox = await rig.create(
    namespace,
    pod,
    rig.options(["sleep", "1000"], { id: pod, sandboxId: pod }),
    within(),
  );
  await sandbox.start("", within());
  const script = "sleep 2000 & sleep 3000";
  const task = await rig.create(
    namespace,
    one,
    rig.options(["sh", "-c", script], { id: one, sandboxId: pod }),
    within(),
  );
  await task.start("", within());
  const execIo = { stdin: "", stdout: "", stderr: "", terminal: false };
  await task.exec({ execId: "e", io: execIo, spec: execSpec(["sleep", "4000"]) }, within());
  const execWait = task.wait("e", within());
  const execPid = await task.start("e", within());
  const waits = [sandbox.wait("", within()), task.wait("", within())];
  const members = (await task.pids(within())).map((each) => each.pid);
  assert.ok(members.length >= 2);
  process.kill(task.shim.pid, "SIGKILL");
  const kill = { execId: "", signal: 9, all: true };
  const killed = assert.rejects(sandbox.kill(kill, within()), { code: "NOT_FOUND" });
  for (const exit of await Promise.all(waits)) assert.equal(exit.exitStatus, 137);
  assert.deepEqual([(await execWait).exitStatus, (await execWait).pid], [137, execPid]);
  for (const pid of [...members, execPid, sandbox.pid]) {
    assert.equal(isRunning(pid), false, `process ${pid} lives`);
  }
  await killed;
  assert.deepEqual(await rig.leftovers(), []);
  assert.equal(rig.manager.list().length, 0);
  assert.equal((await task.wait("", within())).exitStatus, 137);
  assert.equal((await task.delete("", within())).exitStatus, 137);
  for (const id of [pod, one]) {
    await rig.event("/tasks/exit", ({ event }) => {
      const exit = unpackAny("containerd.events.TaskExit", event);
      return exit?.containerId === id && exit.exitStatus === 137;
    });
  }
});

onEveryShim("an exit that nobody waited for outlives the shim", async (rig) => {
  const id = newId();
  const command = rig.options(["sh", "-c", "exit 42"], { id });
  const task = await rig.create(namespace, id, command, within());
  await task.start("", within());
  await rig.event("/tasks/exit", ({ event }) => {
    return unpackAny("containerd.events.TaskExit", event)?.exitStatus === 42;
  });
  process.kill(task.shim.pid, "SIGKILL");
  await rig.event("/tasks/delete", ({ event }) => {
    return unpackAny("containerd.events.TaskDelete", event)?.exitStatus === 42;
  });
  assert.equal((await task.wait("", within())).exitStatus, 42);
  assert.deepEqual(await rig.leftovers(), []);
});

onEveryShim(
  "recovery ends tasks whose shim died meanwhile, and survives bad bundles",
  async (rig) => {
    const id = newId();
    const task = await rig.create(namespace, id, rig.options(["sleep", "1000"], { id }), within());
    await task.start("", within());
    const { pid } = task.shim;
    await rig.manager[Symbol.asyncDispose]();
    process.kill(pid, "SIGKILL");
    const bad = path.join(rig.state, "io.containerd.runtime.v2.task", namespace);
    await mkdir(path.join(bad, "empty"));
    await mkdir(path.join(bad, ".half-removed/rootfs"), { recursive: true });
    await mkdir(path.join(bad, "junk"));
    await writeFile(path.join(bad, "junk/bootstrap.json"), "{");
    await writeFile(path.join(bad, "junk/shim-binary-path"), rig.shim);
    await rig.restart();
    const report = await rig.manager.recover(within());
    assert.deepEqual(report.recovered, []);
    assert.deepEqual(report.lost.map((each) => each.id).sort(), [id, "empty", "junk"].sort());
    assert.equal(isRunning(task.pid), false);
    assert.deepEqual(await rig.leftovers(), []);
    await rig.event("/tasks/exit", ({ event }) => {
      return unpackAny("containerd.events.TaskExit", event)?.containerId === id;
    });
  },
);

onEveryShim("recovery loses no task because the daemon was held up", async (rig) => {
  const id = newId();
  const task = await rig.create(namespace, id, rig.options(["sleep", "1000"], { id }), within());
  await task.start("", within());
  const { pid } = task.shim;
  rig.shimLoadMs = 600;
  const manager = await rig.restart();
  process.kill(pid, "SIGSTOP");
  const recovering = manager.recover(within());
  await sleep(200);
  spawn("sh", ["-c", `sleep 0.6; kill -CONT ${pid}`], { stdio: "ignore" });
  await nextTurn(); // in a timer what has come would be read before other timers
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
  const { lost } = await recovering;
  await until("the task is there", () => manager.get(namespace, id) !== undefined);
  assert.deepEqual(lost, []);
  assert.equal(manager.get(namespace, id)?.pid, task.pid);
  assert.equal(isRunning(task.pid), true);
});

onEveryShim("recovery ends a shim that outlived its bundle", async (rig) => {
  const id = newId();
  const options = rig.options(["sleep", "1000"], { id });
  const task = await rig.create(namespace, id, options, within());
  const { pid, address } = task.shim;
  await task.start("", within());
  // What a daemon leaves that dies between the removal of the last bundle and the shim's end.
  const manager = await rig.restart();
  process.kill(task.pid, "SIGKILL");
  await rig.event("/tasks/exit");
  await run("runc", ["--root", `/run/containerd/runc/${namespace}`, "delete", "-f", id]);
  await unmountBelow(rig.bundle(id));
  await rm(rig.bundle(id), { recursive: true });
  const report = await manager.recover(within());
  assert.deepEqual(report, { recovered: [], lost: [], late: new Map() });
  // Killed it is; whoever adopted it takes a moment to notice.
  await until("the shim is gone", () => !isRunning(pid));
  assert.equal(existsSync(address.slice("unix://".length)), false);
  assert.deepEqual(await rig.leftovers(), []);
});

onEveryShim("recovery finds the exit of a task that ended meanwhile", async (rig) => {
  const id = newId();
  const marker = path.join(rig.rootfs, "tmp/go");
  const script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 3";
  const task = await rig.create(namespace, id, rig.options(["sh", "-c", script], { id }), within());
  await task.start("", within());
  const cutOff = assert.rejects(task.wait("", within()), { code: "UNAVAILABLE" });
  const manager = await rig.restart();
  await cutOff;
  await writeFile(marker, "");
  await rig.event("/tasks/exit");
  await manager.recover(within());
  const again = manager.get(namespace, id);
  assert.ok(again);
  assert.equal(again.pid, task.pid);
  assert.equal((await again.wait("", within())).exitStatus, 3);
  assert.equal((await again.state("", within())).status, "STOPPED");
  await again.delete("", within());
});

test("unknown runtimes and bad names are refused before anything is made", {
  skip: skip ?? false,
}, async () => {
  await using rig = await Rig.make(availableShims()[0] ?? "");
  const script = path.join(rig.folder, "not a shim");
  await writeFile(script, "#!/bin/sh\necho this is no shim\nexit 1\n");
  await chmod(script, 0o755);
  const cases = [
    { id: "a", change: { runtime: "io.containerd.nope.v9", runtimePath: "" }, code: "NOT_FOUND" },
    { id: "a", change: { runtime: "runc", runtimePath: "" }, code: "INVALID_ARGUMENT" },
    { id: "a", change: { runtimePath: "/nonexistent/shim" }, code: "NOT_FOUND" },
    { id: "a", change: { runtimePath: script }, code: "INTERNAL" },
    { id: "../x", change: {}, code: "INVALID_ARGUMENT" },
  ];
  for (const { id, change, code } of cases) {
    const options = rig.options(["true"], { id, ...change });
    await assert.rejects(rig.create(namespace, id, options, within()), { code });
  }
  assert.deepEqual(await rig.leftovers(), []);
  assert.ok(processOf([]));
});

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
