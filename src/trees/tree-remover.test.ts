// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { scratch } from "../../test/support/scratch.ts";
import { testTrees } from "../../test/support/trees.ts";
import { until } from "../../test/support/until.ts";
import { fault } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import type { TreeWork } from "./ports.ts";
import type { RemoveResult } from "./remove-tree.ts";
import { isDoomed, TreeRemover } from "./tree-remover.ts";

const call = { signal: new AbortController().signal };

/** A remover whose jobs do what `attempts` say, one after the other, and then really remove. */
async function make(t: TestContext, attempts: (() => Promise<RemoveResult>)[] = []) {
  const home = await scratch();
  const { work: real } = testTrees();
  const work = {
    run: (kind: "remove", request: never, running: never) =>
      attempts.shift()?.() ?? real.run(kind, request, running),
  } as unknown as TreeWork;
  const remover = new TreeRemover({ work, log: silentLogger, retryMs: 20 });
  const folder = path.join(home.path, "x");
  mkdirSync(path.join(folder, "in"), { recursive: true });
  t.after(async () => {
    remover[Symbol.dispose]();
    await home[Symbol.asyncDispose]();
  });
  return { remover, home: home.path, folder };
}

test("the path is free when it answers, the content goes later", async (t) => {
  const { promise, resolve } = Promise.withResolvers<RemoveResult>();
  const { remover, home, folder } = await make(t, [() => promise]);
  await remover.remove(folder);
  const [doomed = ""] = readdirSync(home);
  assert.ok(isDoomed(doomed) && existsSync(path.join(home, doomed, "in")));
  resolve({ removed: 0, left: undefined });
  await remover.settled(home, call);
  assert.deepEqual(remover.stuck, []);
});

test("into another folder, and nothing where nothing is", async (t) => {
  const { remover, home, folder } = await make(t);
  await remover.remove(path.join(folder, "in"), home);
  assert.deepEqual(readdirSync(folder), []);
  await remover.remove(path.join(folder, "no/such"));
  await remover.settled(home, call);
  assert.deepEqual(readdirSync(home), ["x"]);
});

test("what fails, by the tree or by the thread, is listed and tried again until it is gone", async (t) => {
  const { promise, resolve } = Promise.withResolvers<RemoveResult>();
  const { remover, home, folder } = await make(t, [
    () => Promise.reject(fault("UNAVAILABLE", "berth-remover ended")),
    () => Promise.resolve({ removed: 3, left: { code: "EPERM", name: "in" } }),
    () => promise,
  ]);
  await remover.remove(folder);
  await remover.settled(home, call);
  await until("the second attempt", () => remover.stuck[0]?.attempts === 2);
  const [stuck] = remover.stuck;
  assert.equal(stuck?.code, "EPERM");
  assert.ok(stuck.path.startsWith(path.join(home, ".doomed-")));
  resolve({ removed: 0, left: { code: "EIO", name: "in" } });
  await until("it is gone", () => remover.stuck.length === 0);
  assert.deepEqual(readdirSync(home), []);
});

test("another one sweeps what was left", async (t) => {
  const { remover, home } = await make(t);
  mkdirSync(path.join(home, ".doomed-by-another/a/b"), { recursive: true });
  await remover.sweep(home);
  await remover.sweep(path.join(home, "no/such"));
  await remover.settled(home, call);
  assert.deepEqual(readdirSync(home), ["x"]);
});

test("who waits can leave", async (t) => {
  const { remover, home, folder } = await make(t, [() => new Promise(() => {})]);
  await remover.remove(folder);
  const abort = new AbortController();
  const waiting = remover.settled(home, abort);
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
});
