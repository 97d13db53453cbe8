// SPDX-License-Identifier: Apache-2.0
// Pods checkpointed by the real CRIU, as cgroup v2 and systemd have it.
import assert from "node:assert/strict";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { must, run } from "../../support/run.ts";
import { until } from "../../support/until.ts";
import { cgroupFile, GuestNode } from "../guest/node.ts";

const root = "/var/lib/pod-checkpoints";
/** Counts in memory, to a file of the writable layer and to its log. */
const counting = [
  "sh",
  "-c",
  "i=0; while :; do i=$((i+1)); echo $i > /count; echo $i; sleep 0.2; done",
];
/** The same with so much memory that its dump takes a while. */
const large = [
  "sh",
  "-c",
  "head -c 100000000 /dev/zero | tail -c 100000000 | { sleep 100000; cat; } & " +
    "i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.2; done",
];
const names = ["first", "second"];
const slow = { timeoutMs: 60_000, everyMs: 200 };

suite("CheckpointPod and RestorePod", () => {
  const node = new GuestNode();
  const { cri } = node;

  before(async () => {
    await mkdir(root, { mode: 0o700 });
    await node.pull();
  });
  after(async () => {
    // The daemon that was killed here must not count as one that fell.
    await run("systemctl", ["reset-failed", "berthd"]);
    await node[Symbol.asyncDispose]();
    await rm(root, { recursive: true });
  });

  /** The shell empties the file before it writes it. */
  const count = (id: string): Promise<number> =>
    until(
      "the count is written",
      async () => Number((await cri.exec(id, ["cat", "/count"])).stdout),
      slow,
    );

  const config = (name: string, command: readonly string[]) =>
    cri.containerConfig(node.image("shell"), command, { metadata: { name } });

  async function runPod(command: readonly string[]) {
    const pod = await node.runPod();
    const configs = names.map((name) => config(name, command));
    const ids: string[] = [];
    for (const { metadata, ...change } of configs) {
      const more = { ...change, metadata: metadata ?? null };
      ids.push(await cri.startContainer(pod, node.image("shell"), command, more));
    }
    for (const id of ids) await until("it counts", async () => (await count(id)) > 2, slow);
    return { pod, ids, configs };
  }

  async function emptyFolder(name: string): Promise<string> {
    const folder = path.join(root, name);
    await mkdir(folder, { mode: 0o700 });
    return folder;
  }

  /** Nothing stands still, and all that a container can do it can do again. */
  async function assertAllRun(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const before = await until("it answers", () => count(id), slow);
      await until("it counts on", async () => (await count(id)) > before, slow);
      assert.equal(await cgroupFile(await node.cgroupOf(id), "cgroup.freeze"), "0");
      assert.equal((await cri.status(id)).state, "CONTAINER_RUNNING");
    }
  }

  const criuRuns = async (): Promise<boolean> => (await run("pgrep", ["-x", "criu"])).code === 0;

  test("two containers go on in another pod where they were", async () => {
    const { pod, ids, configs } = await runPod(counting);
    const folder = await emptyFolder("two");
    await cri.runtime.CheckpointPod({
      podSandboxId: pod.id,
      outputPath: folder,
      containerIds: ids,
    });
    assert.deepEqual(await readdir(folder), ["pod-checkpoint.tar"]);
    assert.equal((await stat(path.join(folder, "pod-checkpoint.tar"))).mode & 0o777, 0o600);
    await assertAllRun(ids);
    const reached = await Promise.all(ids.map(count));
    await cri.removePod(pod.id);

    const restored = cri.podConfig({ linux: pod.config.linux ?? null });
    const request = { checkpointPath: folder, config: restored, containerConfigs: configs };
    const answer = await cri.runtime.RestorePod(request);
    cri.seen.add(answer.podSandboxId);
    assert.deepEqual(
      answer.restoredContainers.map(({ name }) => name),
      names,
    );
    assert.deepEqual(await cri.runtime.RestorePod(request), answer, "a retry gets the same");
    for (const { containerId } of answer.restoredContainers) {
      assert.equal((await cri.status(containerId)).state, "CONTAINER_CREATED");
    }
    const again = answer.restoredContainers.map(({ containerId }) => containerId);
    for (const containerId of again) await cri.runtime.StartContainer({ containerId });
    await assertAllRun(again);
    for (const [at, id] of again.entries()) {
      const [first = ""] = (await cri.logOf(id)).split("\n");
      const number = Number(first.split(" ").at(-1));
      assert.ok(number > 2 && number <= reached[at]!, `${number} comes before ${reached[at]}`);
    }
    await cri.removePod(answer.podSandboxId);
  });

  const restarted = async (): Promise<void> => {
    const serves = async (): Promise<boolean> => (await cri.runtime.Version({})).version !== "";
    await until("the next one serves", serves, { ...slow, timeoutMs: 240_000 });
  };
  const cuts: readonly {
    readonly what: string;
    readonly cut: (caller: AbortController) => unknown;
    readonly afterwards?: () => Promise<void>;
  }[] = [
    { what: "CRIU is killed", cut: () => must("pkill", ["-KILL", "-x", "criu"]) },
    {
      what: "its OCI runtime is killed",
      cut: () => must("pkill", ["-KILL", "-f", "^runc .* checkpoint "]),
    },
    { what: "its caller leaves", cut: (caller) => caller.abort() },
    {
      what: "the daemon is killed",
      cut: () => must("systemctl", ["kill", "--kill-who=main", "-s", "KILL", "berthd"]),
      afterwards: restarted,
    },
  ];
  test("whatever ends a dump in the middle, all run on and nothing lies around", async (t) => {
    const { pod, ids } = await runPod(large);
    for (const id of ids) {
      const cgroup = await node.cgroupOf(id);
      const full = async (): Promise<boolean> =>
        Number(await cgroupFile(cgroup, "memory.current")) > 95_000_000;
      await until("it has taken its memory", full, slow);
    }
    for (const { what, cut, afterwards } of cuts) {
      await t.test(what, async () => {
        const folder = await emptyFolder(what);
        const caller = new AbortController();
        const request = { podSandboxId: pod.id, outputPath: folder, containerIds: ids };
        const checkpoint = assert.rejects(
          cri.runtime.CheckpointPod(request, { signal: caller.signal }),
        );
        await until("CRIU runs", criuRuns, { ...slow, everyMs: 20 });
        await cut(caller);
        await checkpoint;
        await afterwards?.();
        await assertAllRun(ids);
        await until("nothing lies around", async () => (await readdir(folder)).length === 0, slow);
      });
    }
    await cri.removePod(pod.id);
  });
});
