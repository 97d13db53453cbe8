// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProtoAny } from "../../src/gen/wellknown.gen.ts";
import type { CreateOptions, PlatformRuntime } from "../../src/runtime/ports.ts";

/** A runtime to test, with what it needs to run `sleep` and `sh`. Disposing leaves nothing behind. */
export interface RuntimeHarness extends AsyncDisposable {
  readonly runtime: PlatformRuntime;
  /** The namespace to make tasks in. */
  readonly namespace: string;
  /** Options for a task whose init runs these arguments, with no streams. */
  createOptions(id: string, args: readonly string[]): CreateOptions;
  /** Set where a task is one program that runs nothing else: it ends at once, with 0, where `sh` would run something. */
  readonly isOneProgram?: boolean;
}

const noIo = { stdin: "", stdout: "", stderr: "", terminal: false };
const sleep = ["sleep", "1000"];

/** What every PlatformRuntime promises. `skip` names what is missing. */
export function platformRuntimeSuite(
  name: string,
  make: () => Promise<RuntimeHarness>,
  options: { readonly skip?: string | false } = {},
): void {
  const { signal } = new AbortController();
  const call = { signal };
  const skip = options.skip ?? false;
  let count = 0;
  const newId = (): string => {
    count += 1;
    return `task-${process.pid}-${count}`;
  };

  async function created(harness: RuntimeHarness, args: readonly string[], id = newId()) {
    const { runtime, namespace } = harness;
    using place = runtime.reserve(namespace, id);
    const task = await place.create(harness.createOptions(id, args), call);
    const remove = async (): Promise<void> => {
      if (harness.runtime.get(harness.namespace, id) !== task) return;
      await task.kill({ execId: "", signal: 9, all: true }, call).catch(() => {});
      await task.wait("", { signal: AbortSignal.timeout(60_000) }).catch(() => {});
      await task.delete("", call);
    };
    return { task, [Symbol.asyncDispose]: remove };
  }

  test(`${name}: a task is created, runs, is killed, waited for and deleted`, {
    skip,
  }, async () => {
    await using harness = await make();
    await using one = await created(harness, sleep);
    const { task } = one;
    assert.ok(task.pid > 0);
    assert.equal((await task.state("", call)).status, "CREATED");
    const exit = task.wait("", call);
    assert.equal(await task.start("", call), task.pid);
    assert.equal((await task.state("", call)).status, "RUNNING");
    assert.equal(harness.runtime.get(harness.namespace, task.id), task);
    await task.kill({ execId: "", signal: 9, all: false }, call);
    const { exitStatus, exitedAtNanos } = await exit;
    assert.equal(exitStatus, 137);
    assert.ok(exitedAtNanos > 0n);
    assert.equal((await task.state("", call)).status, "STOPPED");
    assert.equal((await task.delete("", call)).exitStatus, 137);
    assert.equal(harness.runtime.get(harness.namespace, task.id), undefined);
  });

  test(`${name}: a short task's exit is not missed, also by a late wait`, { skip }, async () => {
    await using harness = await make();
    await using one = await created(harness, ["sh", "-c", "exit 3"]);
    const early = one.task.wait("", call);
    await one.task.start("", call);
    const expected = harness.isOneProgram ? 0 : 3;
    assert.equal((await early).exitStatus, expected);
    assert.equal((await one.task.wait("", call)).exitStatus, expected);
  });

  test(`${name}: a second task of one id is ALREADY_EXISTS`, { skip }, async () => {
    await using harness = await make();
    await using one = await created(harness, sleep);
    await assert.rejects(created(harness, sleep, one.task.id), { code: "ALREADY_EXISTS" });
  });

  test(`${name}: an exec runs beside init and has an exit of its own`, { skip }, async () => {
    await using harness = await make();
    await using one = await created(harness, sleep);
    const { task } = one;
    await task.start("", call);
    const spec = processSpec(harness, ["sh", "-c", "exit 7"]);
    if (harness.isOneProgram) {
      await assert.rejects(task.exec({ execId: "e1", io: noIo, spec }, call), {
        code: "UNIMPLEMENTED",
        message: /cannot execute a command in task ".*": it is a pod's sandbox process/,
      });
      return;
    }
    await task.exec({ execId: "e1", io: noIo, spec }, call);
    await assert.rejects(task.exec({ execId: "e1", io: noIo, spec }, call), {
      code: "ALREADY_EXISTS",
    });
    const exit = task.wait("e1", call);
    assert.ok((await task.start("e1", call)) > 0);
    assert.equal((await exit).exitStatus, 7);
    assert.equal((await task.delete("e1", call)).exitStatus, 7);
    await assert.rejects(task.state("e1", call), { code: "NOT_FOUND" });
    assert.equal((await task.state("", call)).status, "RUNNING");
  });

  test(`${name}: delete of what runs is FAILED_PRECONDITION`, { skip }, async () => {
    await using harness = await make();
    await using one = await created(harness, sleep);
    await one.task.start("", call);
    await assert.rejects(one.task.delete("", call), { code: "FAILED_PRECONDITION" });
  });

  test(`${name}: kill of what has finished is NOT_FOUND`, { skip }, async () => {
    await using harness = await make();
    await using one = await created(harness, ["sh", "-c", "exit 0"]);
    const exit = one.task.wait("", call);
    await one.task.start("", call);
    await exit;
    const kill = one.task.kill({ execId: "", signal: 15, all: false }, call);
    await assert.rejects(kill, { code: "NOT_FOUND" });
  });

  test(`${name}: what was never added is NOT_FOUND`, { skip }, async () => {
    await using harness = await make();
    await using one = await created(harness, sleep);
    await one.task.start("", call);
    await assert.rejects(one.task.state("nope", call), { code: "NOT_FOUND" });
    await assert.rejects(one.task.wait("nope", call), { code: "NOT_FOUND" });
  });

  test(`${name}: aborting a wait gives it up and nothing else`, { skip }, async () => {
    await using harness = await make();
    await using one = await created(harness, sleep);
    await one.task.start("", call);
    const abort = new AbortController();
    const exit = one.task.wait("", { signal: abort.signal });
    abort.abort();
    await assert.rejects(exit);
    assert.equal((await one.task.state("", call)).status, "RUNNING");
  });

  test(`${name}: tasks are listed by namespace`, { skip }, async () => {
    await using harness = await make();
    await using one = await created(harness, sleep);
    await using two = await created(harness, sleep);
    const ids = harness.runtime.list(harness.namespace).map((task) => task.id);
    assert.deepEqual(ids.toSorted(), [one.task.id, two.task.id].toSorted());
    assert.deepEqual(harness.runtime.list("elsewhere"), []);
  });

  test(`${name}: a task pauses and resumes, and tells its pids`, { skip }, async () => {
    await using harness = await make();
    await using one = await created(harness, sleep);
    const { task } = one;
    await task.start("", call);
    assert.deepEqual(
      (await task.pids(call)).map(({ pid }) => pid),
      [task.pid],
    );
    await task.pause(call);
    assert.equal((await task.state("", call)).status, "PAUSED");
    await task.resume(call);
    assert.equal((await task.state("", call)).status, "RUNNING");
  });
}

/** The process of the harness's spec for these arguments, as Exec wants it. */
function processSpec(harness: RuntimeHarness, args: readonly string[]): ProtoAny {
  const { spec } = harness.createOptions("exec", args);
  const { process } = JSON.parse(Buffer.from(spec).toString()) as { process: unknown };
  return {
    type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process",
    value: Buffer.from(JSON.stringify(process)),
  };
}
