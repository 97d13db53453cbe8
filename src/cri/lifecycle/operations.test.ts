// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLogger } from "../../base/logger.ts";
import { OperationRegistry } from "./operations.ts";

describe("OperationRegistry", () => {
  it("shows what runs and its stages, side by side ones too, until it has ended", async () => {
    const registry = new OperationRegistry(silentLogger);
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

  it("tells its hooks of stages and operations, and whether they failed", async () => {
    const told: unknown[] = [];
    const registry = new OperationRegistry(silentLogger, {
      onStage: ({ stage, failed }) => told.push([stage, failed]),
      onOperation: ({ rpc, failed }) => told.push([rpc, failed]),
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
