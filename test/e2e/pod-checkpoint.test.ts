// SPDX-License-Identifier: Apache-2.0
// CheckpointPod and RestorePod with the real shim and freezer, and an OCI runtime that stands in for CRIU: what that
// does itself is tested in the virtual machine (test/vm/suites/checkpoint.test.ts).
import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { RestorePodResponse } from "../../src/gen/cri.gen.ts";
import { type DumpingRuntime, makeDumpingRuntime } from "../support/dumping-runtime.ts";
import { findProgram, lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { processes } from "../support/processes.ts";
import { run } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const counting = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.1; done"];
const names = ["first", "second"];

suite("checkpoints of pods", { skip: lacking(...podPrograms) }, () => {
  let home: Scratch;
  let runtime: DumpingRuntime;
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  let ids: string[];
  before(async () => {
    home = await scratch({ prefix: "dumping" });
    runtime = await makeDumpingRuntime(home.path);
    const handlers = { dumping: { binary_name: runtime.binary } };
    bed = await openTestbed({ config: { runtime: { handlers } } });
    ({ cri } = bed);
    [pod, ids] = await runPod("dumping");
  });
  after(async () => {
    await bed?.finish();
    await home?.[Symbol.asyncDispose]();
  });

  async function runPod(handler: string): Promise<[RunningPod, string[]]> {
    const made = await cri.runPod({}, handler);
    const started: string[] = [];
    for (const { metadata } of configs()) {
      const change = { metadata: metadata ?? null };
      started.push(await cri.startContainer(made, bed.images.shell.reference, counting, change));
    }
    return [made, started];
  }

  const configs = () =>
    names.map((name) =>
      cri.containerConfig(bed.images.shell.reference, counting, { metadata: { name } }),
    );

  /** The shell empties the file before it writes it. */
  const count = (id: string): Promise<number> =>
    until("the count is written", async () =>
      Number((await cri.exec(id, ["cat", "/count"])).stdout),
    );

  async function assertAllRun(all: readonly string[]): Promise<void> {
    for (const id of all) {
      const before = await until("it answers", () => count(id));
      await until("it counts on", async () => (await count(id)) > before);
    }
  }

  async function emptyFolder(name: string): Promise<string> {
    const folder = path.join(bed.folder, name);
    await mkdir(folder, { mode: 0o700 });
    return folder;
  }

  const dumps = async (): Promise<boolean> =>
    processes(({ argv }) => argv.includes(runtime.binary) && argv.includes("checkpoint")).length >
    0;

  const request = (outputPath: string) => ({
    podSandboxId: pod.id,
    outputPath,
    containerIds: ids,
  });

  test("without CRIU the refusal names it, and all run on", async (t) => {
    if (findProgram("criu") !== undefined) return t.skip("needs a machine without criu");
    const [plain, containerIds] = await runPod("");
    const outputPath = await emptyFolder("plain");
    const checkpoint = { podSandboxId: plain.id, outputPath, containerIds };
    await assert.rejects(cri.runtime.CheckpointPod(checkpoint), {
      code: "FAILED_PRECONDITION",
      message: /criu/i,
    });
    await assertAllRun(containerIds);
    assert.deepEqual(await readdir(outputPath), []);
    await cri.removePod(plain.id);
  });

  test("with a CRIU that suits the kernel two containers go on where they were", async (t) => {
    const lack = lacking("criu");
    if (lack !== false) return t.skip(lack);
    if ((await run("criu", ["check"])).code !== 0) return t.skip("needs a CRIU for this kernel");
    const [first, containerIds] = await runPod("");
    for (const id of containerIds) await until("it counts", async () => (await count(id)) > 5);
    const outputPath = await emptyFolder("criu");
    await cri.runtime.CheckpointPod({ podSandboxId: first.id, outputPath, containerIds });
    await assertAllRun(containerIds);
    await cri.removePod(first.id);
    const answer = await restore(outputPath, "");
    const restored = answer.restoredContainers.map(({ containerId }) => containerId);
    for (const containerId of restored) await cri.runtime.StartContainer({ containerId });
    for (const id of restored) {
      assert.ok((await until("it answers", () => count(id))) > 5, "it began anew");
    }
    await assertAllRun(restored);
    await cri.removePod(answer.podSandboxId);
  });

  test("a dump that fails half-way leaves nothing frozen and nothing lying around", async () => {
    await runtime.set("fails after the first");
    const folder = await emptyFolder("fails");
    await assert.rejects(cri.runtime.CheckpointPod(request(folder)), {
      code: "FAILED_PRECONDITION",
      message: /criu failed/,
    });
    await assertAllRun(ids);
    assert.deepEqual(await readdir(folder), []);
  });

  test("a dump that hangs ends with its call, and all run on", async () => {
    await runtime.set("hangs");
    const folder = await emptyFolder("hangs");
    const leaving = new AbortController();
    const checkpoint = cri.runtime.CheckpointPod(request(folder), { signal: leaving.signal });
    const refused = assert.rejects(checkpoint, { code: "CANCELLED" });
    await until("it dumps", dumps);
    leaving.abort();
    await refused;
    await assertAllRun(ids);
    await until("no runtime is left", async () => !(await dumps()));
    await until("nothing lies around", async () => (await readdir(folder)).length === 0);
  });

  test("a second checkpoint of a container is refused, and ends not the first", async () => {
    await runtime.set("hangs");
    const folder = await emptyFolder("beside");
    const leaving = new AbortController();
    const checkpoint = cri.runtime.CheckpointPod(request(folder), { signal: leaving.signal });
    const refused = assert.rejects(checkpoint, { code: "CANCELLED" });
    await until("it dumps", dumps);
    const location = path.join(bed.folder, "beside.tar");
    await assert.rejects(
      cri.runtime.CheckpointContainer({ containerId: ids[0]!, location, timeout: 5n }),
      { code: "FAILED_PRECONDITION", message: /another checkpoint of it runs$/ },
    );
    assert.ok(await dumps());
    leaving.abort();
    await refused;
    await assertAllRun(ids);
    await until("nothing lies around", async () => (await readdir(folder)).length === 0);
  });

  const ends: Readonly<Record<string, (pod: string, id: string) => Promise<unknown>>> = {
    StopContainer: (_pod, containerId) => cri.runtime.StopContainer({ containerId, timeout: 0n }),
    RemovePodSandbox: (podSandboxId) => cri.runtime.RemovePodSandbox({ podSandboxId }),
  };
  for (const [what, end] of Object.entries(ends)) {
    test(`a ${what} ends a dump that hangs`, async () => {
      await runtime.set("hangs");
      const [made, containerIds] = await runPod("dumping");
      const outputPath = await emptyFolder(what);
      const checkpoint = { podSandboxId: made.id, outputPath, containerIds };
      const refused = assert.rejects(cri.runtime.CheckpointPod(checkpoint), {
        code: "FAILED_PRECONDITION",
        message: /^cannot checkpoint task "\w+": it is being killed$/,
      });
      await until("it dumps", dumps);
      await end(made.id, containerIds[0]!);
      await refused;
      if (what === "StopContainer") {
        assert.equal((await cri.status(containerIds[0]!)).exitCode, 137);
        await assertAllRun(containerIds.slice(1));
        await cri.removePod(made.id);
      }
      await until("nothing lies around", async () => (await readdir(outputPath)).length === 0);
      await until("no runtime is left", async () => !(await dumps()));
    });
  }

  test("a daemon that is killed in the middle leaves nothing frozen to the next one", async () => {
    await runtime.set("hangs");
    const folder = await emptyFolder("killed");
    const refused = assert.rejects(cri.runtime.CheckpointPod(request(folder)));
    await until("it dumps", dumps);
    await bed.daemon.kill9();
    await refused;
    await bed.daemon.start();
    await assertAllRun(ids);
    await until("no runtime is left", async () => !(await dumps()));
    await until("nothing lies around", async () => (await readdir(folder)).length === 0);
  });

  async function restore(
    checkpointPath: string,
    runtimeHandler = "dumping",
  ): Promise<RestorePodResponse> {
    const answer = await cri.runtime.RestorePod({
      checkpointPath,
      config: cri.podConfig(),
      runtimeHandler,
      containerConfigs: configs(),
    });
    cri.seen.add(answer.podSandboxId);
    return answer;
  }

  test("two containers are restored: created first, and then they run", async () => {
    await runtime.set("works");
    const folder = await emptyFolder("works");
    await cri.runtime.CheckpointPod(request(folder));
    assert.deepEqual(await readdir(folder), ["pod-checkpoint.tar"]);
    await assertAllRun(ids);
    const reached = await Promise.all(ids.map(count));
    const answer = await restore(folder);
    const restored = answer.restoredContainers.map(({ containerId }) => containerId);
    assert.equal(restored.length, 2);
    for (const [at, containerId] of restored.entries()) {
      assert.equal((await cri.status(containerId)).state, "CONTAINER_CREATED");
      await cri.runtime.StartContainer({ containerId });
      const { info } = await cri.runtime.ContainerStatus({ containerId, verbose: true });
      assert.ok((JSON.parse(info["info"] ?? "{}") as { pid: number }).pid > 0);
      assert.ok((await count(containerId)) <= reached[at]! + 1000);
    }
    await assertAllRun(restored);
    await cri.runtime.StopContainer({ containerId: restored[0]!, timeout: 0n });
    assert.equal((await cri.status(restored[0]!)).exitCode, 137);
    await cri.removePod(answer.podSandboxId);

    await runtime.set("does not restore");
    const second = await restore(folder);
    const { containerId } = second.restoredContainers[0]!;
    await assert.rejects(cri.runtime.StartContainer({ containerId }), {
      code: "FAILED_PRECONDITION",
      message: /criu failed/,
    });
    const { state, reason } = await cri.status(containerId);
    assert.deepEqual([state, reason], ["CONTAINER_EXITED", "StartError"]);
    await cri.removePod(second.podSandboxId);
  });
});
