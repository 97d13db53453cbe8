// SPDX-License-Identifier: Apache-2.0
// runc that is killed while it clones itself leaves a mount in its state folder: it and the folder go.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { mountSpec } from "../../../src/base/os/mount.ts";
import { unmountBelow } from "../../../src/base/os/mount-table.ts";
import { removeFolderSync } from "../../../src/base/remove-folder.ts";
import { createLog } from "../../../src/log/logger.ts";
import { Bundle } from "../../../src/runtime/bundle/bundle.ts";
import {
  clearRuntimeState,
  isInRuntime,
  pidInCrun,
  runtimePlace,
} from "../../../src/runtime/death/runtime-state.ts";
import { availableShims, lacking, namespace, Rig, within } from "./rig.ts";

const skip = lacking() ?? false;
const limits = { skip, timeout: 60_000 };
const stateOf = (id: string): string => path.join("/run/containerd/runc", namespace, id);
const newId = (): string => `t${randomBytes(6).toString("hex")}`;

/** What runc 1.1 leaves: its own program, bind-mounted on a file of its state folder. */
function cutShort(id: string): void {
  mkdirSync(stateOf(id), { recursive: true });
  const place = path.join(stateOf(id), "runc.Xk3dQ9");
  writeFileSync(place, "");
  mountSpec({ type: "bind", source: "/bin/busybox", options: ["bind", "ro"] }, place);
}

async function runningTask(rig: Rig, id: string): ReturnType<Rig["create"]> {
  const options = rig.options(["sleep", "1000"], { id });
  const task = await rig.create(namespace, id, options, within());
  await task.start("", within());
  return task;
}

/** A rig fails at its end over each mount, folder and process that is left. */
async function makeRig(): Promise<Rig> {
  return Rig.make(availableShims()[0] ?? "");
}

test("a task is deleted although runc cannot remove its state", limits, async () => {
  await using rig = await makeRig();
  const id = newId();
  const task = await runningTask(rig, id);
  cutShort(id);
  await task.kill({ execId: "", signal: 9, all: true }, within());
  assert.equal((await task.wait("", within())).exitStatus, 137);
  assert.equal((await task.delete("", within())).exitStatus, 137);
  assert.equal(existsSync(stateOf(id)), false);
});

test("the state of a task whose shim died goes", limits, async () => {
  await using rig = await makeRig();
  const id = newId();
  const task = await runningTask(rig, id);
  cutShort(id);
  process.kill(task.shim.pid, "SIGKILL");
  await task.wait("", within());
  assert.equal(existsSync(stateOf(id)), false);
});

test("the state of a creation that failed goes", limits, async () => {
  await using rig = await makeRig();
  const id = newId();
  cutShort(id);
  // runc creates nothing where a folder is.
  const options = rig.options(["true"], { id });
  await assert.rejects(rig.create(namespace, id, options, within()), /exist/);
  assert.equal(existsSync(stateOf(id)), false);
});

test("a recovery clears the states of tasks that it finds lost", limits, async () => {
  await using rig = await makeRig();
  const ids = { shimless: newId(), bare: newId(), bundleless: newId() };
  const task = await runningTask(rig, ids.shimless);
  await rig.manager[Symbol.asyncDispose]();
  process.kill(task.shim.pid, "SIGKILL");
  const work = path.join(rig.folder, "root", "io.containerd.runtime.v2.task", namespace);
  mkdirSync(rig.bundle(ids.bare), { recursive: true });
  mkdirSync(path.join(work, ids.bundleless), { recursive: true });
  for (const id of Object.values(ids)) cutShort(id);
  const { recovered } = await (await rig.restart()).recover(within());
  assert.deepEqual(recovered, []);
  assert.deepEqual(
    Object.values(ids).filter((id) => existsSync(stateOf(id))),
    [],
  );
});

test("a container of somebody else by that name keeps its state", limits, async () => {
  await using rig = await makeRig();
  const id = newId();
  cutShort(id);
  const file = path.join(stateOf(id), "state.json");
  writeFileSync(file, '{"config":{"labels":["bundle=/another/bundle"]}}');
  mkdirSync(rig.bundle(id), { recursive: true });
  await rig.manager.recover(within());
  assert.equal(existsSync(rig.bundle(id)), false);
  assert.ok(existsSync(file));
  await unmountBelow(stateOf(id));
  removeFolderSync(stateOf(id));
});

test(
  "the state of a container that crun knows stays, and its process is found by it",
  limits,
  async () => {
    await using rig = await makeRig();
    const id = newId();
    const folders = { bundles: path.join(rig.folder, "b"), work: path.join(rig.folder, "w") };
    const bundle = new Bundle({ ...folders, namespace, id });
    const { log } = await createLog({ level: "fatal", format: "json" });
    mkdirSync(stateOf(id), { recursive: true });
    using _state = { [Symbol.dispose]: () => removeFolderSync(stateOf(id)) };
    const rows: [string, boolean, number][] = [
      [JSON.stringify({ pid: 4711, bundle: bundle.path }), true, 4711],
      [JSON.stringify({ pid: 4711, bundle: "/run/other" }), false, 0],
      [JSON.stringify({ pid: "4711", bundle: bundle.path }), true, 0],
      ["{", false, 0],
    ];
    for (const [text, isKnown, pid] of rows) {
      writeFileSync(path.join(stateOf(id), "status"), text);
      assert.equal(await isInRuntime(bundle), isKnown, text);
      assert.equal(await pidInCrun(bundle), pid, text);
      assert.equal((await runtimePlace(bundle)).program, isKnown ? "crun" : "runc", text);
      assert.equal(await clearRuntimeState(bundle, log), false, text);
      assert.ok(existsSync(path.join(stateOf(id), "status")), text);
    }
  },
);
