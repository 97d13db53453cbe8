// SPDX-License-Identifier: Apache-2.0
// An OCI runtime that does not come back: runc tells of a name that it cannot run in more bytes than
// its stderr, a pipe that the shim reads later, takes.
import assert from "node:assert/strict";
import { Socket } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { makeFifo, openFifoReader } from "../../../src/base/os/fifo.ts";
import type { TaskIo } from "../../../src/runtime/ports.ts";
import { until } from "../../support/until.ts";
import { availableShims, execSpec, lacking, namespace, Rig, within } from "./rig.ts";

const skip = lacking() ?? false;
/** Told twice, it is more than a pipe holds. */
const longName = `/${"n".repeat(40_000)}`;
/** Enough for what works, short for what never would. */
const patience = (): { signal: AbortSignal } => within(3_000);

/** Streams that somebody reads, as every client's. */
function readStreams(rig: Rig, name: string): TaskIo & Disposable {
  const [stdout, stderr] = [path.join(rig.folder, `${name}o`), path.join(rig.folder, `${name}e`)];
  const sockets = [stdout, stderr].map((fifo) => {
    makeFifo(fifo);
    return new Socket({ fd: openFifoReader(fifo), readable: true, writable: false }).resume();
  });
  return {
    stdin: "",
    stdout,
    stderr,
    terminal: false,
    [Symbol.dispose]: () => sockets.forEach((socket) => socket.destroy()),
  };
}

const runtimes = (rig: Rig): string[] =>
  rig
    .processes()
    .map(({ command }) => command)
    .filter((command) => command.startsWith("runc "));

for (const shim of availableShims()) {
  const name = path.basename(shim);

  test(`an exec that hangs is ended, and others start (${name})`, { skip }, async () => {
    await using rig = await Rig.make(shim);
    const options = rig.options(["sleep", "1000"], { id: "pod" });
    const task = await rig.create(namespace, "pod", options, within());
    await task.start("", within());
    using streams = readStreams(rig, "long");
    await task.exec({ execId: "long", io: streams, spec: execSpec([longName]) }, within());
    await assert.rejects(task.start("long", patience()), { code: "DEADLINE_EXCEEDED" });
    await until("no runtime is left", () => runtimes(rig).length === 0);
    await task.delete("long", within());

    using other = readStreams(rig, "short");
    await task.exec({ execId: "short", io: other, spec: execSpec(["true"]) }, within());
    const second = task.wait("short", within());
    await task.start("short", within());
    assert.equal((await second).exitStatus, 0);
    await task.delete("short", within());
    assert.equal((await task.state("", within())).status, "RUNNING");
  });

  test(`a creation that hangs is ended, and others go on (${name})`, { skip }, async () => {
    await using rig = await Rig.make(shim);
    const pod = await rig.create(
      namespace,
      "pod",
      rig.options(["sleep", "1000"], { id: "pod", sandboxId: "pod" }),
      within(),
    );
    await pod.start("", within());
    using streams = readStreams(rig, "long");
    const hung = rig.options([longName], { id: "long", sandboxId: "pod", io: streams });
    await assert.rejects(rig.create(namespace, "long", hung, patience()), {
      code: "DEADLINE_EXCEEDED",
    });
    await until("no runtime is left", () => runtimes(rig).length === 0);
    const one = rig.options(["sleep", "1000"], { id: "one", sandboxId: "pod" });
    const task = await rig.create(namespace, "one", one, within());
    await task.start("", within());
    assert.equal(task.shim.pid, pod.shim.pid);
  });
}
if (availableShims().length === 0)
  test("a runtime that hangs is ended", { skip: skip || "no shim" });
