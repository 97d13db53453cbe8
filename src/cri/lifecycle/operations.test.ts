// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLogger } from "../../base/logger.ts";
import { OperationRegistry } from "./operations.ts";

describe("OperationRegistry", () => {
  it("shows what runs and its stages, side by side ones too, until it has ended", async () => {
    const registry = new OperationRegistry({ log: silentLogger });
    const gate = Promise.withResolvers<void>();
    const operation = registry.claim("RunPodSandbox", "web");
    const network = operation.run("network", () => gate.promise);
    const shim = operation.run("shim", () => gate.promise);
    const [view] = registry.list();
    assert.equal(view?.rpc, "RunPodSandbox");
    assert.equal(view?.object, "web");
    assert.deepEqual(
      view?.stages.map(({ stage }) => stage),
      ["network", "shim"],
    );
    const other = registry.claim("RunPodSandbox", "db");
    const itsShim = other.run("shim", () => gate.promise);
    assert.deepEqual(Object.fromEntries(registry.stages()), { network: 1, shim: 2 });
    gate.resolve();
    await Promise.all([network, shim, itsShim]);
    other[Symbol.dispose]();
    assert.deepEqual(registry.list()[0]?.stages, []);
    const idle = registry.idle();
    operation[Symbol.dispose]();
    operation[Symbol.dispose]();
    await idle;
    assert.deepEqual(registry.list(), []);
  });

  it("warns of stages that run for long, beyond what their caller allows them", (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    let now = 0;
    t.mock.method(performance, "now", () => now);
    const warned: unknown[] = [];
    const log = { ...silentLogger, warn: (facts: object) => warned.push(facts) };
    const operation = new OperationRegistry({ log }).claim("StopContainer", "c");
    const forever = (): Promise<void> => new Promise(() => {});
    void operation.run("stop", forever, 30_000);
    void operation.run("network", forever);
    const stagesAfter = (seconds: number): unknown => {
      now = seconds * 1000;
      t.mock.timers.tick(10_000);
      const [facts] = warned.splice(0) as { stages: { stage: string }[] }[];
      return facts?.stages.map(({ stage }) => stage);
    };
    assert.equal(stagesAfter(9), undefined);
    assert.deepEqual(stagesAfter(39), ["network"]);
    assert.deepEqual(stagesAfter(40), ["stop", "network"]);
  });

  it("tells its hooks of stages and operations, and whether they failed", async () => {
    const told: unknown[] = [];
    const registry = new OperationRegistry({
      log: silentLogger,
      hooks: {
        onStage: ({ stage, failed }) => told.push([stage, failed]),
        onOperation: ({ rpc, failed }) => told.push([rpc, failed]),
      },
    });
    const operation = registry.claim("StartContainer", "c");
    await operation.run("log", () => Promise.resolve());
    await assert.rejects(operation.run("create", () => Promise.reject(new Error("no"))));
    operation[Symbol.dispose]();
    assert.deepEqual(told, [
      ["log", false],
      ["create", true],
      ["StartContainer", true],
    ]);
  });
});

describe("an operation", () => {
  const call = (): { signal: AbortSignal } => ({ signal: new AbortController().signal });
  const what = { rpc: "StartContainer", object: "c" };

  it("that fails takes all back, the last step first, and tells a step what failed before it", async () => {
    const told: unknown[] = [];
    const logged: unknown[] = [];
    const child = (facts: object) => ({
      ...silentLogger,
      error: (more: object) => logged.push({ ...facts, ...more }),
    });
    const operations = new OperationRegistry({ log: { ...silentLogger, child } });
    const failure = new Error("no");
    const disk = new Error("disk");
    const running = operations.perform(
      { ...what, facts: { container: "c" } },
      call(),
      async (op) => {
        op.undo("record", async (_call, { error, failed }) =>
          told.push("record", error, [...failed]),
        );
        op.undo("log", () => Promise.reject(disk));
        op.undo("task", async ({ signal }) => told.push("task", signal === op.signal));
        await op.run("create", () => Promise.reject(failure));
      },
    );
    await assert.rejects(running, failure);
    assert.deepEqual(told, ["task", false, "record", failure, ["log"]]);
    assert.deepEqual(logged, [{ container: "c", err: disk, step: "log" }]);
    assert.deepEqual(operations.list(), []);
  });

  it("takes nothing back that was kept, nor anything once it has succeeded", async () => {
    const operations = new OperationRegistry({ log: silentLogger });
    const undone: string[] = [];
    await operations.perform(what, call(), async (op) => {
      op.undo("task", async () => undone.push("task"));
    });
    const failing = operations.perform(what, call(), async (op) => {
      op.undo("task", async () => undone.push("task"));
      op.keep();
      op.undo("event", async () => undone.push("event"));
      throw new Error("late");
    });
    await assert.rejects(failing, { message: "late" });
    assert.deepEqual(undone, ["event"]);
  });

  it("is joined by a second call, and outlives the first", async () => {
    const daemon = new AbortController();
    const operations = new OperationRegistry({ log: silentLogger, lifetime: daemon.signal });
    const gate = Promise.withResolvers<string>();
    const begun: string[] = [];
    const perform = (caller: { signal: AbortSignal }, name: string): Promise<string> =>
      operations.perform({ ...what, joins: true }, caller, (op) => {
        begun.push(name);
        op.signal.addEventListener("abort", () => gate.reject(op.signal.reason));
        return gate.promise;
      });
    const leaving = new AbortController();
    const first = perform(leaving, "first");
    const second = perform(call(), "second");
    leaving.abort(new Error("gone"));
    await assert.rejects(first, { message: "gone" });
    let ended = false;
    const end = operations.ended(what.rpc, what.object, call()).then(() => (ended = true));
    await Promise.resolve();
    assert.ok(!ended);
    gate.resolve("done");
    assert.equal(await second, "done");
    await end;
    assert.deepEqual(begun, ["first"]);
    await operations.ended(what.rpc, what.object, call()); // no wait for what does not run
  });

  it("is joined by a call of the same request only, where that is asked", async () => {
    const operations = new OperationRegistry({ log: silentLogger });
    const gate = Promise.withResolvers<string>();
    const perform = (request: object): Promise<string> =>
      operations.perform(
        { ...what, object: "web", joins: { request } },
        call(),
        () => gate.promise,
      );
    const first = perform({ image: "a" });
    const same = perform({ image: "a" });
    await assert.rejects(perform({ image: "b" }), {
      code: "ALREADY_EXISTS",
      message: 'name "web" is being made with another configuration',
    });
    gate.resolve("id");
    assert.deepEqual(await Promise.all([first, same]), ["id", "id"]);
    assert.equal(await perform({ image: "b" }), "id");
  });

  it("that takes too long, or whose call is over, ends by its signal, and undoes without it", async () => {
    const operations = new OperationRegistry({ log: silentLogger });
    const stuck = (
      limit: { ms: number; what: string },
      caller: AbortController,
    ): Promise<unknown> =>
      operations.perform({ ...what, limit }, caller, async (op) => {
        op.undo("task", async ({ signal }) => signal.throwIfAborted());
        await new Promise((_, reject) =>
          op.signal.addEventListener("abort", () => reject(op.signal.reason)),
        );
      });
    await assert.rejects(stuck({ ms: 1, what: "starting it" }, new AbortController()), {
      code: "DEADLINE_EXCEEDED",
      message: "starting it took longer than 0.001 s",
    });
    const caller = new AbortController();
    const left = stuck({ ms: 60_000, what: "starting it" }, caller);
    caller.abort(new Error("gone"));
    await assert.rejects(left, { message: "gone" });
  });

  it("that is refused is none: nobody sees it", async () => {
    const seen: unknown[] = [];
    const hooks = { onOperation: (event: object) => seen.push(event) };
    const operations = new OperationRegistry({ log: silentLogger, hooks });
    const admit = (): void => {
      seen.push(operations.list().length);
      throw new Error("no");
    };
    const refused = operations.perform({ ...what, joins: true, admit }, call(), async () => {});
    await assert.rejects(refused, { message: "no" });
    assert.deepEqual(seen, [0]);
  });
});
