// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mock, type TestContext, test } from "node:test";
import { fault } from "../../base/errors.ts";
import { silentLogger } from "../../base/logger.ts";
import { identify } from "../../base/os/proc.ts";
import { refuseAlive } from "./past-shim.ts";
import { ShimTask, type ShimTaskParts } from "./shim-task.ts";

const call = { signal: new AbortController().signal };

type Answer = (request: unknown, call: { readonly signal: AbortSignal }) => Promise<unknown>;

/** A task of a shim that answers so. */
function taskOf(
  api: Readonly<Record<string, Answer>>,
  { shim = {}, pid = process.pid, sandboxId = "", surroundings = {} } = {},
): ShimTask {
  return new ShimTask({
    bundle: { namespace: "k8s.io", id: "a", path: "/no/such", rootfs: "/no/such/rootfs" },
    shim: { isOpen: true, pid: 1, execStarts: { acquire: freePlace }, api, ...shim },
    sandboxId,
    pid,
    surroundings,
  } as unknown as ShimTaskParts);
}

const freePlace = () => Promise.resolve({ [Symbol.dispose]: () => {} });

test("a deletion whose caller leaves as the shim dies does not wait for the clean-up", async () => {
  const caller = new AbortController();
  const Delete = async () => {
    caller.abort();
    throw fault("UNAVAILABLE", "ttrpc connection is closed");
  };
  const task = taskOf({ Delete }, { shim: { isOpen: false } });
  await assert.rejects(task.delete("", caller), { code: "CANCELLED" });
});

test("a deletion that two wait for goes on when the first of them leaves", async () => {
  const asked: AbortSignal[] = [];
  const { promise, reject } = Promise.withResolvers<never>();
  const task = taskOf({
    Delete: (_request, { signal }) => {
      asked.push(signal);
      return promise;
    },
  });
  const leaving = new AbortController();
  const first = task.delete("", leaving);
  const second = task.delete("", call);
  leaving.abort();
  await assert.rejects(first, { code: "CANCELLED" });
  assert.deepEqual(
    asked.map(({ aborted }) => aborted),
    [false],
  );
  reject(fault("FAILED_PRECONDITION", "it runs"));
  await assert.rejects(second, { code: "FAILED_PRECONDITION" });
});

test("a deletion that nobody waits for any more is given up", async () => {
  const asked: AbortSignal[] = [];
  const task = taskOf({
    Delete: (_request, { signal }) => {
      asked.push(signal);
      return new Promise(() => {});
    },
  });
  const leaving = new AbortController();
  const deletion = task.delete("", leaving);
  leaving.abort();
  await assert.rejects(deletion, { code: "CANCELLED" });
  assert.equal(asked[0]?.aborted, true);
});

test("an exec keeps its pid when a second start of it is refused", async () => {
  let starts = 0;
  const task = taskOf({
    Start: async () => {
      starts += 1;
      if (starts > 1) throw fault("FAILED_PRECONDITION", "it runs");
      return { pid: 4711 };
    },
    Wait: async () => ({ exitStatus: 3, exitedAt: null }),
  });
  assert.equal(await task.start("e", call), 4711);
  await assert.rejects(task.start("e", call), { code: "FAILED_PRECONDITION" });
  assert.equal((await task.wait("e", call)).pid, 4711);
});

const processSpec = { type_url: "t", value: Buffer.from("{}") };

test("a later exec of the same name does not get the pid of the one before", async () => {
  let starts = 0;
  const task = taskOf({
    Exec: async () => ({}),
    Start: async () => {
      starts += 1;
      if (starts > 1) throw fault("FAILED_PRECONDITION", "no such program");
      return { pid: 4711 };
    },
    Wait: async () => ({ exitStatus: 3, exitedAt: null }),
  });
  const exec = { execId: "e", io: {}, spec: processSpec } as never;
  await task.exec(exec, call);
  await task.start("e", call);
  await task.exec(exec, call);
  await assert.rejects(task.start("e", call), { code: "FAILED_PRECONDITION" });
  assert.equal((await task.wait("e", call)).pid, 0);
});
/** A process that does nothing. */
function idleProcess(t: TestContext) {
  const child = spawn("sleep", ["600"], { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

test("a kill that a silent shim of others has not answered is good once init is dead", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const child = idleProcess(t);
  const surroundings = { log: silentLogger, timeouts: { shimCleanupMs: 60_000 } };
  const shim = { isNeededBeside: () => true };
  const task = taskOf(
    { Kill: () => new Promise(() => {}), Wait: () => new Promise(() => {}) },
    { shim, pid: child.pid!, sandboxId: "pod", surroundings },
  );
  const ended = once(child, "exit");
  const killing = task.kill({ execId: "", signal: 9, all: true }, call);
  const time = setInterval(() => mock.timers.tick(100), 1);
  t.after(() => clearInterval(time));
  const waiting = task.wait("", call);
  await killing;
  assert.deepEqual(await ended, [null, "SIGKILL"]);
  // Whoever waits learns of it from us: the shim will not tell.
  assert.equal((await waiting).exitStatus, 137);
  assert.equal((await task.state("", call)).status, "STOPPED");
});

test("while init lives, a kill of which the shim is silent has failed", async (t) => {
  const child = idleProcess(t);
  const initProcess = identify(child.pid!);
  const task = { id: "a", initProcess, shim: { pid: 7 } } as never;
  assert.throws(() => refuseAlive(task), {
    code: "UNAVAILABLE",
    message: `cannot kill task "a": its shim (pid 7) does not answer, and init (pid ${child.pid}) lives on`,
  });
  child.kill("SIGKILL");
  await once(child, "exit");
  refuseAlive(task);
});

test("a kill that is answered leaves nothing that a daemon which stops would wait for", async (t) => {
  const held = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const child = idleProcess(t);
  const task = taskOf({ Kill: async () => ({}) }, { pid: child.pid!, shim: { isEnding: true } });
  const before = held();
  await task.kill({ execId: "", signal: 9, all: true }, call);
  assert.equal(held(), before);
});
