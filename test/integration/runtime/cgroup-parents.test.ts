// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { RuntimeTask } from "../../../src/runtime/ports.ts";
import { cgroupMounts, removeCgroups } from "../../support/cgroups.ts";
import { until } from "../../support/until.ts";
import { availableShims, lacking, namespace, Rig, within } from "./rig.ts";

const skip = lacking() ?? false;
const top = `/berth-parents-${process.pid}`;

async function foldersOf(parent: string): Promise<string[]> {
  return (await cgroupMounts())
    .map((mount) => path.join(mount, parent))
    .filter((folder) => existsSync(folder));
}

async function start(rig: Rig, id: string, parent: string): Promise<RuntimeTask> {
  const options = rig.options(["sleep", "1000"], { id });
  const spec = JSON.parse(Buffer.from(options.spec).toString()) as {
    linux: { cgroupsPath: string };
  };
  spec.linux.cgroupsPath = `${parent}/${id}`;
  const bytes = Buffer.from(JSON.stringify(spec));
  const task = await rig.create(namespace, id, { ...options, spec: bytes }, within());
  await task.start("", within());
  return task;
}

async function end(task: RuntimeTask): Promise<void> {
  const exit = task.wait("", within());
  await task.kill({ execId: "", signal: 9, all: true }, within());
  await exit;
  await task.delete("", within());
}

const shim = availableShims()[0] ?? "";

test("parents that a container's start made go with the last container", { skip }, async (t) => {
  await using rig = await Rig.make(shim);
  t.after(() => removeCgroups(top));
  const first = await start(rig, "first", `${top}/inner`);
  const second = await start(rig, "second", top);
  await end(first);
  await until("the inner one is gone", async () => (await foldersOf(`${top}/inner`)).length === 0);
  assert.notDeepEqual(await foldersOf(top), [], "a container is in there");
  await end(second);
  await until("the outer one is gone", async () => (await foldersOf(top)).length === 0);
});

test("parents that were there before stay", { skip }, async (t) => {
  await using rig = await Rig.make(shim);
  const theirs = `${top}-theirs`;
  t.after(() => removeCgroups(theirs));
  for (const mount of await cgroupMounts()) mkdirSync(path.join(mount, theirs));
  await end(await start(rig, "guest", `${theirs}/made`));
  await rig.manager[Symbol.asyncDispose]();
  assert.deepEqual(await foldersOf(`${theirs}/made`), []);
  assert.deepEqual(
    await foldersOf(theirs),
    (await cgroupMounts()).map((m) => path.join(m, theirs)),
  );
});

test("the next daemon knows what the one before it made", { skip }, async (t) => {
  await using rig = await Rig.make(shim);
  t.after(() => removeCgroups(top));
  await start(rig, "lasting", top);
  const next = await rig.restart();
  assert.notDeepEqual(await foldersOf(top), [], "a container is in there");
  await next.recover(within());
  await end(next.get(namespace, "lasting")!);
  await until("the parent is gone", async () => (await foldersOf(top)).length === 0);
});

test("containers that come while their parent goes start all the same", { skip }, async (t) => {
  await using rig = await Rig.make(shim);
  t.after(() => removeCgroups(top));
  const done = new AbortController();
  const removing = (async () => {
    while (!done.signal.aborted) {
      await setImmediate();
      await rig.manager.removeEmptyCgroups(within());
    }
  })();
  try {
    for (let round = 0; round < 15; round += 1) {
      await end(await start(rig, `r${round}`, `${top}/a/b/c`));
    }
  } finally {
    done.abort();
    await removing;
  }
  await rig.manager.removeEmptyCgroups(within());
  assert.deepEqual(await foldersOf(top), []);
});
