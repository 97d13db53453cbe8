// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { containerConfig, FakeWorld, podConfig } from "../../../test/support/cri/fake-world.ts";
import { fault } from "../../base/errors.ts";
import { unpackArchive } from "../../checkpoint/checkpoint-archive.ts";
import { packFolder } from "../../checkpoint/folder-tar.ts";

/** Archives are unpacked in a process that is chrooted. */
const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: AbortSignal.timeout(120_000) };
const names = ["web", "side"];
const configs = names.map((name) => containerConfig({ metadata: { name, attempt: 0 } }));
const other = podConfig({ metadata: { name: "again", namespace: "shop", uid: "u-2", attempt: 0 } });

interface Pod {
  readonly podSandboxId: string;
  readonly containerIds: string[];
  /** Empty. */
  readonly outputPath: string;
}

/** A pod of two containers that run, in a world in which CRIU writes one file. */
async function twoContainers(world: FakeWorld): Promise<Pod> {
  const podSandboxId = await world.runPod();
  const containerIds: string[] = [];
  for (const config of configs) {
    const containerId = await world.createContainer(podSandboxId, config);
    await world.call("StartContainer", { containerId });
    containerIds.push(containerId);
  }
  const outputPath = path.join(world.folder, "out");
  await mkdir(outputPath);
  return { podSandboxId, containerIds, outputPath };
}

const states = async (world: FakeWorld, ids: readonly string[]): Promise<string[]> =>
  Promise.all(ids.map(async (id) => (await world.client.tasks.get(id)!.state("", call)).status));

const notes = async (world: FakeWorld): Promise<string[]> =>
  readdir(path.join(world.folder, "root/io.berth.cri/checkpoints")).catch(() => []);

async function assertNothingLeft(world: FakeWorld, pod: Pod): Promise<void> {
  assert.deepEqual(await states(world, pod.containerIds), ["RUNNING", "RUNNING"]);
  assert.deepEqual(await readdir(pod.outputPath), []);
  assert.deepEqual(await notes(world), []);
}

describe("CheckpointPod", () => {
  it("dumps all while all stand still, into one archive for its owner, and they run on", {
    skip,
  }, async () => {
    await using world = await FakeWorld.create();
    const pod = await twoContainers(world);
    const seen: string[][] = [];
    for (const id of pod.containerIds) {
      const task = world.client.tasks.get(id)!;
      task.checkpoint = async (options) => {
        seen.push(await states(world, pod.containerIds));
        await writeFile(path.join(options.path, "inventory.img"), id);
      };
    }
    await world.call("CheckpointPod", pod);
    assert.deepEqual(seen, [
      ["PAUSED", "PAUSED"],
      ["PAUSED", "PAUSED"],
    ]);
    assert.deepEqual(await states(world, pod.containerIds), ["RUNNING", "RUNNING"]);
    assert.deepEqual(await readdir(pod.outputPath), ["pod-checkpoint.tar"]);
    const archive = path.join(pod.outputPath, "pod-checkpoint.tar");
    assert.equal((await stat(archive)).mode & 0o777, 0o600);
    assert.deepEqual(await notes(world), []);
    const opened = path.join(world.folder, "opened");
    await unpackArchive(archive, opened, call);
    assert.deepEqual((await readdir(opened)).sort(), ["containers", "pod.json"]);
    for (const [at, id] of pod.containerIds.entries()) {
      const folder = path.join(opened, "containers", String(at));
      assert.equal(await readFile(path.join(folder, "checkpoint/inventory.img"), "utf8"), id);
      assert.deepEqual((await readdir(folder)).sort(), [
        "checkpoint",
        "config.dump",
        "rootfs-diff.tar",
        "spec.dump",
        "status.dump",
      ]);
    }
  });

  const failures: readonly {
    readonly what: string;
    readonly plant: (world: FakeWorld, pod: Pod) => void;
    readonly error: { readonly code: string; readonly message: RegExp };
  }[] = [
    {
      what: "CRIU gives up on the second container",
      plant: (world, { containerIds }) => {
        world.client.tasks.get(containerIds[1]!)!.checkpoint = () =>
          Promise.reject(fault("FAILED_PRECONDITION", "criu failed: vdso: unknown kernel"));
      },
      error: { code: "FAILED_PRECONDITION", message: /vdso: unknown kernel/ },
    },
    {
      what: "the second container cannot be frozen",
      plant: (world, { containerIds }) => {
        world.client.tasks.get(containerIds[1]!)!.pause = () =>
          Promise.reject(fault("UNKNOWN", "no freezer"));
      },
      error: { code: "UNKNOWN", message: /no freezer/ },
    },
    {
      what: "a layer cannot be packed",
      plant: (world) => void world.steps.failing.set("pack layer", fault("ABORTED", "it shrank")),
      error: { code: "ABORTED", message: /it shrank/ },
    },
    {
      what: "one is paused by somebody else, who decides when it goes on",
      plant: (world, { containerIds }) => {
        const task = world.client.tasks.get(containerIds[1]!)!;
        const state = task.state.bind(task);
        task.state = async (...args) => ({ ...(await state(...args)), status: "PAUSED" });
        task.resume = () => Promise.reject(new Error("not ours"));
      },
      error: { code: "FAILED_PRECONDITION", message: /state is paused, not running$/ },
    },
  ];
  for (const { what, plant, error } of failures) {
    it(`leaves nothing frozen and nothing lying around when ${what}`, async () => {
      await using world = await FakeWorld.create();
      const pod = await twoContainers(world);
      plant(world, pod);
      await assert.rejects(world.call("CheckpointPod", pod), error);
      if (what.startsWith("one is paused")) {
        assert.deepEqual(await readdir(pod.outputPath), []);
      } else await assertNothingLeft(world, pod);
    });
  }

  it("ends with its call, and all run on", async () => {
    await using world = await FakeWorld.create();
    const pod = await twoContainers(world);
    const leaving = new AbortController();
    world.client.tasks.get(pod.containerIds[0]!)!.checkpoint = () => {
      leaving.abort();
      return new Promise(() => {});
    };
    await assert.rejects(world.call("CheckpointPod", pod, leaving.signal));
    await assertNothingLeft(world, pod);
  });

  it("tries again to thaw what does not thaw at once", { skip }, async () => {
    await using world = await FakeWorld.create();
    const pod = await twoContainers(world);
    const task = world.client.tasks.get(pod.containerIds[0]!)!;
    const resume = task.resume.bind(task);
    let attempts = 0;
    task.resume = () => {
      attempts += 1;
      return attempts < 3 ? Promise.reject(fault("UNKNOWN", "busy")) : resume();
    };
    await world.call("CheckpointPod", pod);
    assert.deepEqual(await states(world, pod.containerIds), ["RUNNING", "RUNNING"]);
  });

  it("a daemon that was killed in the middle leaves nothing frozen to the next one", async () => {
    await using world = await FakeWorld.create();
    const pod = await twoContainers(world);
    for (const id of pod.containerIds) await world.client.tasks.get(id)!.pause();
    const staging = path.join(pod.outputPath, ".berth-checkpoint-abc");
    await mkdir(path.join(staging, "pod"), { recursive: true });
    const folder = path.join(world.folder, "root/io.berth.cri/checkpoints");
    await mkdir(folder, { recursive: true });
    const note = { containers: [...pod.containerIds, "gone"], staging };
    await writeFile(path.join(folder, "a.json"), JSON.stringify(note));
    await writeFile(path.join(folder, "b.json"), "{ no note");
    const evil = { containers: [], staging: pod.outputPath };
    await writeFile(path.join(folder, "c.json"), JSON.stringify(evil));
    await world.restart();
    await assertNothingLeft(world, pod);
  });

  const refusals: readonly {
    readonly what: string;
    readonly change: (world: FakeWorld, pod: Pod) => Promise<object> | object;
    readonly code: string;
    readonly message: RegExp;
  }[] = [
    {
      what: "an unknown pod",
      change: () => ({ podSandboxId: "nope" }),
      code: "NOT_FOUND",
      message: /nope/,
    },
    {
      what: "no containers",
      change: () => ({ containerIds: [] }),
      code: "INVALID_ARGUMENT",
      message: /^container_ids is empty$/,
    },
    {
      what: "a container named twice",
      change: (_world, { containerIds: [id = ""] }) => ({ containerIds: [id, id] }),
      code: "INVALID_ARGUMENT",
      message: /twice/,
    },
    {
      what: "a container of another pod",
      change: async (world, { containerIds }) => {
        const foreign = await world.startedContainer(await world.runPod(other));
        return { containerIds: [...containerIds, foreign] };
      },
      code: "INVALID_ARGUMENT",
      message: /is not in sandbox/,
    },
    {
      what: "a container that does not run",
      change: async (world, { podSandboxId, containerIds }) => {
        const config = containerConfig({ metadata: { name: "third", attempt: 0 } });
        return {
          containerIds: [...containerIds, await world.createContainer(podSandboxId, config)],
        };
      },
      code: "FAILED_PRECONDITION",
      message: /state is created, not running$/,
    },
    {
      what: "a pod that is not ready",
      change: async (world, { podSandboxId }) => {
        await world.call("StopPodSandbox", { podSandboxId });
        return {};
      },
      code: "FAILED_PRECONDITION",
      message: /is not ready/,
    },
    {
      what: "an option, which it does not know",
      change: () => ({ options: { leave_running: "false" } }),
      code: "INVALID_ARGUMENT",
      message: /^option "leave_running" is not known$/,
    },
    {
      what: "a relative path",
      change: () => ({ outputPath: "out" }),
      code: "INVALID_ARGUMENT",
      message: /not an absolute path/,
    },
    {
      what: "a folder that is not there",
      change: () => ({ outputPath: "/no/such/folder" }),
      code: "NOT_FOUND",
      message: /ENOENT/,
    },
    {
      what: "a folder that is not empty",
      change: async (_world, { outputPath }) => {
        await mkdir(path.join(outputPath, "there"));
        return {};
      },
      code: "FAILED_PRECONDITION",
      message: /is not empty$/,
    },
    {
      what: "a file",
      change: async (world) => {
        const file = path.join(world.folder, "file");
        await writeFile(file, "");
        return { outputPath: file };
      },
      code: "INVALID_ARGUMENT",
      message: /ENOTDIR/,
    },
    {
      what: "a link to a folder",
      change: async (world, { outputPath }) => {
        const link = path.join(world.folder, "link");
        await symlink(outputPath, link);
        return { outputPath: link };
      },
      code: "INVALID_ARGUMENT",
      message: /is no folder/,
    },
  ];
  for (const { what, change, code, message } of refusals) {
    it(`refuses ${what}, and freezes nothing`, async () => {
      await using world = await FakeWorld.create();
      const pod = await twoContainers(world);
      const changed = await change(world, pod);
      for (const task of world.client.tasks.values()) {
        task.pause = () => Promise.reject(new Error("it was frozen"));
      }
      await assert.rejects(world.call("CheckpointPod", { ...pod, ...changed }), { code, message });
    });
  }

  it("refuses a second one of the same pod meanwhile", { skip }, async () => {
    await using world = await FakeWorld.create();
    const pod = await twoContainers(world);
    const second = path.join(world.folder, "second");
    await mkdir(second);
    const task = world.client.tasks.get(pod.containerIds[0]!)!;
    const checkpoint = task.checkpoint.bind(task);
    task.checkpoint = async (options) => {
      const request = { ...pod, outputPath: second };
      await assert.rejects(world.call("CheckpointPod", request), {
        code: "FAILED_PRECONDITION",
        message: /is being checkpointed already$/,
      });
      await checkpoint(options);
    };
    await world.call("CheckpointPod", pod);
  });
});

describe("two of CheckpointPod at once", { skip }, () => {
  it("into one folder: one is refused, and takes not what the other has written", async () => {
    await using world = await FakeWorld.create();
    const pod = await twoContainers(world);
    const podSandboxId = await world.runPod(other);
    const containerIds = [await world.startedContainer(podSandboxId)];
    const { outputPath } = pod;
    const answers = await Promise.allSettled([
      world.call("CheckpointPod", pod),
      world.call("CheckpointPod", { podSandboxId, containerIds, outputPath: `${outputPath}/.` }),
    ]);
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted(), // whichever saw the folder first
      ["fulfilled", "rejected"],
    );
    assert.deepEqual(await readdir(outputPath), ["pod-checkpoint.tar"]);
  });
});

/** A checkpoint of two containers whose pod is gone. */
async function checkpointed(world: FakeWorld): Promise<string> {
  const pod = await twoContainers(world);
  await world.call("CheckpointPod", pod);
  await world.call("RemovePodSandbox", { podSandboxId: pod.podSandboxId });
  return pod.outputPath;
}

const counts = async (world: FakeWorld): Promise<number[]> => [
  (await world.call("ListPodSandbox", {})).items?.length ?? 0,
  (await world.call("ListContainers", {})).containers?.length ?? 0,
  (await readdir(path.join(world.folder, "root/io.berth.cri/containers")).catch(() => [])).length,
  (await readdir(path.join(world.folder, "root/io.berth.cri/restores")).catch(() => [])).length,
];

describe("RestorePod", { skip }, () => {
  const request = (checkpointPath: string) => ({
    checkpointPath,
    config: other,
    containerConfigs: configs,
  });

  it("makes a pod and its containers, which have run nothing until they are started", async () => {
    await using world = await FakeWorld.create();
    const folder = await checkpointed(world);
    const answer = await world.call("RestorePod", request(folder));
    const restored = answer.restoredContainers ?? [];
    assert.deepEqual(
      restored.map(({ name }) => name),
      names,
    );
    assert.equal([...world.client.tasks.values()].length, 1, "the sandbox's task alone");
    const { status } = await world.call("PodSandboxStatus", {
      podSandboxId: answer.podSandboxId ?? "",
    });
    assert.deepEqual([status?.state, status?.metadata?.uid], ["SANDBOX_READY", "u-2"]);
    for (const [at, { containerId = "" }] of restored.entries()) {
      const id = containerId ?? "";
      const { status: container } = await world.call("ContainerStatus", { containerId: id });
      assert.equal(container?.state, "CONTAINER_CREATED");
      await world.call("StartContainer", { containerId: id });
      const image = world.client.runtime.lastCreate?.checkpointPath ?? "";
      assert.match(await readFile(path.join(image, "core-1.img"), "utf8"), /^image of /);
      assert.equal(container?.metadata?.name, names[at]);
    }
    assert.deepEqual(await readdir(folder), ["pod-checkpoint.tar"]);
    assert.deepEqual((await counts(world)).at(-1), 0);
  });

  it("a retry joins the first, or gets what that has made until it runs", async () => {
    await using world = await FakeWorld.create();
    const folder = await checkpointed(world);
    const [first, second] = await Promise.all([
      world.call("RestorePod", request(folder)),
      world.call("RestorePod", request(folder)),
    ]);
    assert.deepEqual(first, second);
    assert.deepEqual(await world.call("RestorePod", request(folder)), first);
    assert.deepEqual((await counts(world)).slice(0, 2), [1, 2]);
    const [started] = first.restoredContainers ?? [];
    await world.call("StartContainer", { containerId: started?.containerId ?? "" });
    await assert.rejects(world.call("RestorePod", request(folder)), { code: "ALREADY_EXISTS" });
  });

  const undone = ["container spec", "unpack layer", "network up", "create sandbox"];
  it("takes all back when a step fails, and can be tried again", async () => {
    await using world = await FakeWorld.create();
    const folder = await checkpointed(world);
    for (const step of undone) {
      world.steps.failing.set(step, fault("UNAVAILABLE", `no ${step}`));
      await assert.rejects(world.call("RestorePod", request(folder)), { message: `no ${step}` });
      assert.deepEqual(await counts(world), [0, 0, 0, 0], step);
      world.steps.failing.clear();
    }
    await world.call("RestorePod", request(folder));
  });

  it("takes all back when nobody waits for it any more", async () => {
    await using world = await FakeWorld.create();
    const folder = await checkpointed(world);
    const leaving = new AbortController();
    const unpack = world.steps.run.bind(world.steps);
    world.steps.run = async (step) => {
      if (step === "unpack layer") leaving.abort();
      await unpack(step);
    };
    await assert.rejects(world.call("RestorePod", request(folder), leaving.signal));
    await assert.doesNotReject(async () => {
      for (let tries = 0; (await counts(world)).some((count) => count > 0); tries += 1) {
        if (tries > 200) throw new Error(`left: ${(await counts(world)).join()}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
  });

  it("a retry right after its caller gave up gets a pod of its own, that stays", async () => {
    await using world = await FakeWorld.create();
    const folder = await checkpointed(world);
    const leaving = new AbortController();
    const gate = Promise.withResolvers<void>();
    const steps = world.steps.run.bind(world.steps);
    let networks = 0;
    world.steps.run = async (step) => {
      if (step === "network up") networks += 1;
      if (step === "network up" && networks === 1) {
        leaving.abort();
        await gate.promise;
      }
      await steps(step);
    };
    await assert.rejects(world.call("RestorePod", request(folder), leaving.signal));
    const retry = world.call("RestorePod", request(folder));
    await new Promise((resolve) => setTimeout(resolve, 50));
    gate.resolve();
    const { podSandboxId = "", restoredContainers = [] } = await retry;
    assert.equal(networks, 2);
    assert.deepEqual(await counts(world), [1, 2, 2, 0]);
    const { items } = await world.call("ListPodSandbox", {});
    assert.deepEqual(
      items?.map(({ id, state }) => [id, state]),
      [[podSandboxId, "SANDBOX_READY"]],
    );
    assert.equal(restoredContainers.length, 2);
  });

  it("RunPodSandbox of the name is refused meanwhile, and its undoing takes no other pod", async () => {
    await using world = await FakeWorld.create();
    const folder = await checkpointed(world);
    const steps = world.steps.run.bind(world.steps);
    world.steps.run = async (step) => {
      if (step === "unpack layer") {
        await assert.rejects(world.call("RunPodSandbox", { config: other }), {
          code: "ALREADY_EXISTS",
          message: /is being restored from a checkpoint$/,
        });
        throw fault("UNAVAILABLE", "no disk");
      }
      await steps(step);
    };
    await assert.rejects(world.call("RestorePod", request(folder)), { message: "no disk" });
    assert.deepEqual(await counts(world), [0, 0, 0, 0]);
    const podSandboxId = await world.runPod(other);
    await assert.rejects(world.call("RestorePod", request(folder)), { code: "ALREADY_EXISTS" });
    const { status } = await world.call("PodSandboxStatus", { podSandboxId });
    assert.equal(status?.state, "SANDBOX_READY");
  });

  const [web, side] = configs;
  const refusals: readonly {
    readonly what: string;
    readonly change: object;
    readonly code: string;
    readonly message: RegExp;
  }[] = [
    {
      what: "a relative path",
      change: { checkpointPath: "x" },
      code: "INVALID_ARGUMENT",
      message: /not an absolute path/,
    },
    {
      what: "a folder without a checkpoint",
      change: { checkpointPath: "/etc" },
      code: "NOT_FOUND",
      message: /pod-checkpoint\.tar/,
    },
    {
      what: "no config",
      change: { config: null },
      code: "INVALID_ARGUMENT",
      message: /config is required/,
    },
    {
      what: "an option",
      change: { options: { keep: "" } },
      code: "INVALID_ARGUMENT",
      message: /^option "keep" is not known$/,
    },
    {
      what: "an unknown handler",
      change: { runtimeHandler: "kata" },
      code: "NOT_FOUND",
      message: /"kata"/,
    },
    {
      what: "no containers",
      change: { containerConfigs: [] },
      code: "INVALID_ARGUMENT",
      message: /container_configs is empty/,
    },
    {
      what: "a container twice",
      change: { containerConfigs: [web, web] },
      code: "INVALID_ARGUMENT",
      message: /twice/,
    },
    {
      what: "a container too few",
      change: { containerConfigs: [web] },
      code: "INVALID_ARGUMENT",
      message: /has no container "side"$/,
    },
    {
      what: "a container too many",
      change: {
        containerConfigs: [web, side, containerConfig({ metadata: { name: "x", attempt: 0 } })],
      },
      code: "INVALID_ARGUMENT",
      message: /"x" is not in the checkpoint$/,
    },
    {
      what: "another image",
      change: { containerConfigs: [web, { ...side, image: { image: "none" } }] },
      code: "NOT_FOUND",
      message: /image "none" is not present/,
    },
    {
      what: "another command",
      change: { containerConfigs: [web, { ...side, command: ["other"] }] },
      code: "FAILED_PRECONDITION",
      message: /^cannot restore container "side": its command is not what the checkpoint has$/,
    },
  ];
  it("refuses what does not fit, and makes nothing", async (t) => {
    await using world = await FakeWorld.create();
    const folder = await checkpointed(world);
    for (const { what, change, code, message } of refusals) {
      await t.test(what, async () => {
        const changed = { ...request(folder), ...change };
        await assert.rejects(world.call("RestorePod", changed), { code, message });
        assert.deepEqual(await counts(world), [0, 0, 0, 0]);
      });
    }
  });

  const firstFolder = (opened: string): string => path.join(opened, "containers/0");
  const lies: Readonly<Record<string, (opened: string) => Promise<unknown>>> = {
    "no pod.json": (opened) => rm(path.join(opened, "pod.json")),
    "a file for CRIU's folder": async (opened) => {
      const criu = path.join(firstFolder(opened), "checkpoint");
      await rm(criu, { recursive: true });
      await writeFile(criu, "");
    },
    "no layer": (opened) => rm(path.join(firstFolder(opened), "rootfs-diff.tar")),
  };
  it("refuses an archive that lies, and leaves nothing", async (t) => {
    await using world = await FakeWorld.create();
    const folder = await checkpointed(world);
    const archive = path.join(folder, "pod-checkpoint.tar");
    const whole = await readFile(archive);
    for (const [what, change] of Object.entries(lies)) {
      await t.test(what, async () => {
        const opened = path.join(world.folder, "opened");
        await writeFile(archive, whole);
        await unpackArchive(archive, opened, call);
        await change(opened);
        await writeFile(archive, packFolder(opened));
        await rm(opened, { recursive: true });
        await assert.rejects(world.call("RestorePod", request(folder)), {
          code: "INVALID_ARGUMENT",
        });
        assert.deepEqual(await counts(world), [0, 0, 0, 0]);
      });
    }
    await t.test("one that others could have written", async () => {
      await writeFile(archive, whole);
      await chmod(archive, 0o666);
      await assert.rejects(world.call("RestorePod", request(folder)), {
        code: "FAILED_PRECONDITION",
        message: /could be written by others/,
      });
      await chmod(archive, 0o600);
      await world.call("RestorePod", request(folder));
    });
  });
});
