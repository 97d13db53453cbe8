// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { containerConfig, FakeWorld, podConfig } from "../../../test/support/cri/fake-world.ts";
import type { ContainerStatus, PodSandboxStatus } from "../../gen/cri.gen.ts";
import { codec, type MessageName } from "../../rpc/codec.ts";
import { EncodedMessage } from "../../rpc/encoded-message.ts";

/** What a client reads of an answer. */
function received<T>(message: MessageName, answer: unknown): T {
  assert.ok(answer instanceof EncodedMessage, `${message} is answered from kept bytes`);
  const bytes = answer.encode();
  assert.deepEqual(codec(message).normalize(answer as never), codec(message).decode(bytes));
  return codec(message).decode(bytes) as T;
}

interface Shown {
  readonly listed: { readonly state: string; readonly labels: object } | undefined;
  readonly status: ContainerStatus;
  /** As the pod's status has it. */
  readonly inPod: ContainerStatus | undefined;
  readonly pod: PodSandboxStatus;
  readonly listedPod: { readonly state: string } | undefined;
}

async function shown(world: FakeWorld, pod: string, containerId: string): Promise<Shown> {
  const lists = await world.call("ListContainers", {});
  const { containers } = received<{ containers: (Shown["listed"] & { id: string })[] }>(
    "runtime.v1.ListContainersResponse",
    lists,
  );
  const { items } = received<{ items: { id: string; state: string }[] }>(
    "runtime.v1.ListPodSandboxResponse",
    await world.call("ListPodSandbox", {}),
  );
  const { status } = received<{ status: ContainerStatus }>(
    "runtime.v1.ContainerStatusResponse",
    await world.call("ContainerStatus", { containerId }),
  );
  const ofPod = received<{ status: PodSandboxStatus; containersStatuses: ContainerStatus[] }>(
    "runtime.v1.PodSandboxStatusResponse",
    await world.call("PodSandboxStatus", { podSandboxId: pod }),
  );
  return {
    listed: containers.find(({ id }) => id === containerId),
    status,
    inPod: ofPod.containersStatuses.find(({ id }) => id === containerId),
    pod: ofPod.status,
    listedPod: items.find(({ id }) => id === pod),
  };
}

/** One change of a record, and what must be seen right after it. */
interface Change {
  readonly what: string;
  readonly make: (world: FakeWorld, pod: string, containerId: string) => Promise<unknown>;
  readonly expected: (now: Shown) => void;
}

const changes: readonly Change[] = [
  {
    what: "a start: its state and time",
    make: (world, _pod, containerId) => world.call("StartContainer", { containerId }),
    expected: ({ listed, status }) => {
      assert.equal(listed?.state, "CONTAINER_RUNNING");
      assert.equal(status.state, "CONTAINER_RUNNING");
      assert.ok(status.startedAt > 0n);
    },
  },
  {
    what: "an update: its limits",
    make: (world, _pod, containerId) =>
      world.call("UpdateContainerResources", {
        containerId,
        linux: { memoryLimitInBytes: 7_000n },
      }),
    expected: ({ status }) => assert.equal(status.resources?.linux?.memoryLimitInBytes, 7_000n),
  },
  {
    what: "a second update: the limits of both",
    make: (world, _pod, containerId) =>
      world.call("UpdateContainerResources", { containerId, linux: { cpuShares: 512n } }),
    expected: ({ status }) => {
      assert.equal(status.resources?.linux?.memoryLimitInBytes, 7_000n);
      assert.equal(status.resources?.linux?.cpuShares, 512n);
    },
  },
  {
    what: "its end: exit code, reason and time",
    make: (world, _pod, containerId) => world.call("StopContainer", { containerId, timeout: 0n }),
    expected: ({ listed, status }) => {
      assert.equal(listed?.state, "CONTAINER_EXITED");
      assert.equal(status.state, "CONTAINER_EXITED");
      assert.equal(status.reason, status.exitCode === 0 ? "Completed" : "Error");
      assert.ok(status.finishedAt >= status.startedAt);
    },
  },
  {
    what: "the pod's stop: its state, and that it has no address",
    make: (world, podSandboxId) => world.call("StopPodSandbox", { podSandboxId }),
    expected: ({ pod, listedPod }) => {
      assert.equal(listedPod?.state, "SANDBOX_NOTREADY");
      assert.equal(pod.state, "SANDBOX_NOTREADY");
      assert.equal(pod.network?.ip, "");
    },
  },
];

describe("lists and statuses from kept bytes", () => {
  it("show each change of a record at once, everywhere", async () => {
    await using world = await FakeWorld.create();
    const pod = await world.runPod(podConfig({ annotations: { note: "of the pod" } }));
    const mount = { containerPath: "/data", hostPath: world.folder, readonly: true };
    const containerId = await world.createContainer(
      pod,
      containerConfig({
        metadata: { name: "server", attempt: 3 },
        annotations: { restarts: "3" },
        mounts: [mount],
      }),
    );
    const other = await world.startedContainer(pod);
    const first = await shown(world, pod, containerId);
    assert.equal(first.listed?.state, "CONTAINER_CREATED");
    assert.deepEqual(first.status.metadata, { name: "server", attempt: 3 });
    assert.deepEqual(first.status.annotations, { restarts: "3" });
    assert.equal(first.status.mounts[0]?.containerPath, "/data");
    assert.equal(first.pod.network?.ip, "10.0.0.2");
    const untouched = (await shown(world, pod, other)).status;
    for (const { what, make, expected } of changes) {
      await make(world, pod, containerId);
      const now = await shown(world, pod, containerId);
      expected(now);
      assert.deepEqual(now.inPod, now.status, what);
      if (what.startsWith("the pod's")) continue;
      assert.deepEqual((await shown(world, pod, other)).status, untouched, what);
    }
    await world.call("RemoveContainer", { containerId });
    const gone = await world.call("ListContainers", { filter: { podSandboxId: pod } });
    assert.deepEqual(
      gone.containers?.map(({ id }) => id),
      [other],
    );
    const { containersStatuses } = await world.call("PodSandboxStatus", { podSandboxId: pod });
    assert.deepEqual(
      containersStatuses?.map(({ id }) => id),
      [other],
    );
  });

  it("have what a daemon answers that has just read the records", async () => {
    await using world = await FakeWorld.create();
    const pod = await world.runPod();
    const ids = [await world.createContainer(pod), await world.createContainer(pod, named("b"))];
    await world.call("StopPodSandbox", { podSandboxId: pod });
    const before = await Promise.all(ids.map((id) => shown(world, pod, id)));
    await world.restart();
    assert.deepEqual(await Promise.all(ids.map((id) => shown(world, pod, id))), before);
  });

  it("come with the verbose part where it is asked for", async () => {
    await using world = await FakeWorld.create();
    const pod = await world.runPod();
    const containerId = await world.startedContainer(pod);
    const ofContainer = await world.call("ContainerStatus", { containerId, verbose: true });
    const ofPod = await world.call("PodSandboxStatus", { podSandboxId: pod, verbose: true });
    for (const [message, answer] of [
      ["runtime.v1.ContainerStatusResponse", ofContainer],
      ["runtime.v1.PodSandboxStatusResponse", ofPod],
    ] as const) {
      const { info, status } = received<{ info: Record<string, string>; status: object }>(
        message,
        answer,
      );
      assert.ok(JSON.parse(info["info"] ?? ""));
      assert.ok(status);
    }
  });
});

function named(name: string): ReturnType<typeof containerConfig> {
  return containerConfig({ metadata: { name, attempt: 0 } });
}
