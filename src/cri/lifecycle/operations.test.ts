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
    gate.resolve();
    await Promise.all([network, shim]);
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
