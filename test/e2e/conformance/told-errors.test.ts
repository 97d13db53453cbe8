// SPDX-License-Identifier: Apache-2.0
// What a kubelet, crictl, critest, kubeadm and cAdvisor of Kubernetes 1.37.2 recognise in answers: one row each, with
// the place in their sources. Paths are those of k8s.io/kubernetes, k8s.io/cri-client (cri-client/),
// sigs.k8s.io/cri-tools (cri-tools/) and github.com/google/cadvisor/lib (cadvisor/).
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, suite, test } from "node:test";
import { isFault } from "../../../src/base/errors.ts";
import type { ServiceClient } from "../../../src/rpc/service.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import type { Cri, RunningPod } from "../../support/pods.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";

type Runtime = ServiceClient<"runtime.v1.RuntimeService">;

const unknownId = "f".repeat(64);
const soon = (ms = 60_000) => ({ signal: AbortSignal.timeout(ms) });

interface World {
  readonly cri: Cri;
  readonly runtime: Runtime;
  readonly bed: Testbed;
  readonly pod: RunningPod;
  /** One that runs, one that was created, one that has exited. */
  readonly running: string;
  readonly created: string;
  readonly exited: string;
  /** Answers 503 to all, and 401 below /v2/closed, 404 below /v2/empty. */
  readonly registry: string;
}

interface Row {
  readonly name: string;
  /** Who acts on it, and where. */
  readonly where: string;
  readonly act: (world: World) => Promise<unknown>;
  /** The code that is to come, and how the message begins; without it the call succeeds. */
  readonly code?: string;
  readonly message?: RegExp;
}

const pull = (reference: (world: World) => string) => (world: World) =>
  world.cri.images.PullImage({ image: { image: reference(world) } });
const completeContainer =
  (pick: (world: World) => string) =>
  async (world: World): Promise<void> => {
    const status = await world.cri.status(pick(world));
    assert.equal(status.id, pick(world));
    assert.notEqual(status.createdAt, 0n);
    for (const set of [status.metadata?.name, status.image?.image, status.imageRef]) assert.ok(set);
  };
/** A list of all comes, or none: never UNIMPLEMENTED. */
const streams = (method: `Stream${string}` & keyof Runtime) => async (world: World) => {
  const open = world.runtime[method] as unknown as (
    ask: object,
    call: object,
  ) => AsyncIterable<unknown>;
  for await (const _answer of open({}, soon())) break;
};

const rows: readonly Row[] = [
  // Pulls.
  {
    name: "a registry that refuses connections",
    where: "evalCRIPullErr of pkg/kubelet/images/image_manager.go; pullImageV1 of cri-client/",
    act: pull(() => "127.0.0.1:1/app:one"),
    code: "UNKNOWN",
    message:
      /^RegistryUnavailable: cannot pull "127\.0\.0\.1:1\/app:one" from "127\.0\.0\.1:1": cannot reach "127\.0\.0\.1:1"/,
  },
  {
    name: "a registry that answers 503",
    where: "the same",
    act: pull(({ registry }) => `${registry}/app:one`),
    code: "UNKNOWN",
    message: /^RegistryUnavailable: /,
  },
  {
    name: "an image that is not there is no failing of the registry",
    where: "the same",
    act: pull(({ registry }) => `${registry}/empty/app:one`),
    code: "NOT_FOUND",
    message: /^(?!RegistryUnavailable)/,
  },
  {
    name: "nor is one that wants other credentials",
    where: "the same",
    act: pull(({ registry }) => `${registry}/closed/app:one`),
    code: "UNAUTHENTICATED",
    message: /^(?!RegistryUnavailable)/,
  },
  {
    name: "a pull answers which image it was",
    where: "pullImageV1 of cri-client/pkg/remote_image.go",
    act: async (world) => {
      const { imageRef } = await pull(({ bed }) => bed.images.shell.reference)(world);
      assert.notEqual(imageRef, "");
    },
  },
  {
    name: "every image has an id and a size",
    where: "imageStatusV1 of cri-client/pkg/remote_image.go",
    act: async ({ cri }) => {
      const { images } = await cri.images.ListImages({});
      assert.ok(images.length > 3);
      for (const { id } of images) {
        const { image } = await cri.images.ImageStatus({ image: { image: id } });
        assert.ok(image?.id === id && image.size > 0n, id);
      }
    },
  },
  {
    name: "an image that is not there has an empty status, and its removal is done",
    where:
      "GetImageRef of pkg/kubelet/kuberuntime/kuberuntime_image.go; cri-tools/pkg/validate/idempotence.go",
    act: async ({ cri }) => {
      const image = { image: "localhost/none:1" };
      assert.equal((await cri.images.ImageStatus({ image })).image, null);
      await cri.images.RemoveImage({ image });
    },
  },
  {
    name: "an image volume that cannot be mounted",
    where: "incrementImageVolumeMetrics of pkg/kubelet/kuberuntime/kuberuntime_manager.go",
    act: ({ cri, pod, bed }) =>
      cri.createContainer(pod, bed.images.shell.reference, ["true"], {
        mounts: [
          {
            containerPath: "/v",
            readonly: true,
            image: { image: bed.images.worker.reference },
            imageSubPath: "no",
          },
        ],
      }),
    code: "NOT_FOUND",
    message: /^ImageVolumeMountFailed: /,
  },
  // What has gone meanwhile.
  {
    name: "a container that is not there has no status",
    where: "getPodContainerStatuses of pkg/kubelet/kuberuntime/kuberuntime_container.go",
    act: ({ runtime }) => runtime.ContainerStatus({ containerId: unknownId }),
    code: "NOT_FOUND",
  },
  {
    name: "nor has a pod",
    where: "GetPodStatus of pkg/kubelet/kuberuntime/kuberuntime_manager.go",
    act: ({ runtime }) => runtime.PodSandboxStatus({ podSandboxId: unknownId }),
    code: "NOT_FOUND",
  },
  {
    name: "what is not there is stopped and removed",
    where:
      "killContainer, killPodWithSyncResult of pkg/kubelet/kuberuntime; cri-tools/pkg/validate/idempotence.go",
    act: async ({ runtime }) => {
      await runtime.StopContainer({ containerId: unknownId });
      await runtime.RemoveContainer({ containerId: unknownId });
      await runtime.StopPodSandbox({ podSandboxId: unknownId });
      await runtime.RemovePodSandbox({ podSandboxId: unknownId });
    },
  },
  // Commands.
  {
    name: "a command that takes too long",
    where: "execSyncV1 of cri-client/pkg/remote_runtime.go: a probe's timeout",
    act: ({ runtime, running }) =>
      runtime.ExecSync({ containerId: running, cmd: ["sleep", "60"], timeout: 1n }),
    code: "DEADLINE_EXCEEDED",
  },
  {
    name: "a command that fails is an answer",
    where: "the same",
    act: async ({ cri, running }) => {
      assert.equal((await cri.exec(running, ["sh", "-c", "exit 7"])).exitCode, 7);
    },
  },
  {
    name: "sessions have a URL",
    where: "execV1, attachV1, portForwardV1 of cri-client/pkg/remote_runtime.go",
    act: async ({ runtime, running, pod }) => {
      const both = { containerId: running, stdout: true };
      const answers = [
        await runtime.Exec({ ...both, cmd: ["true"] }),
        await runtime.Attach(both),
        await runtime.PortForward({ podSandboxId: pod.id, port: [80] }),
      ];
      for (const { url } of answers) assert.match(url, /^https?:/);
    },
  },
  // Answers that are refused as incomplete.
  {
    name: "Version has all four fields, and is 0.1.0",
    where: "versionV1 of cri-client/pkg/remote_runtime.go; NewKubeGenericRuntimeManager",
    act: async ({ runtime }) => {
      const { version, runtimeName, runtimeVersion, runtimeApiVersion } = await runtime.Version({});
      assert.equal(version, "0.1.0");
      for (const field of [runtimeName, runtimeVersion, runtimeApiVersion])
        assert.notEqual(field, "");
    },
  },
  {
    name: "Status has both conditions, and info for kubeadm is JSON",
    where: "statusV1 of cri-client/pkg/remote_runtime.go; cmd/kubeadm/app/util/runtime/runtime.go",
    act: async ({ runtime }) => {
      const { status, info } = await runtime.Status({ verbose: true });
      const types = status?.conditions.map(({ type }) => type);
      assert.ok(types?.includes("RuntimeReady") && types.includes("NetworkReady"));
      if (info["config"] !== undefined) assert.equal(typeof JSON.parse(info["config"]), "object");
    },
  },
  {
    name: "a pod's status is whole",
    where: "verifySandboxStatus of cri-client/pkg/utils.go",
    act: async ({ cri, pod }) => {
      const { id, createdAt, metadata } = await cri.podStatus(pod.id);
      assert.ok(id === pod.id && createdAt > 0n);
      for (const field of [metadata?.name, metadata?.namespace, metadata?.uid]) assert.ok(field);
    },
  },
  {
    name: "the status of a container that was created is whole",
    where: "verifyContainerStatus of cri-client/pkg/utils.go",
    act: completeContainer(({ created }) => created),
  },
  {
    name: "and of one that runs",
    where: "the same",
    act: completeContainer(({ running }) => running),
  },
  {
    name: "and of one that has exited",
    where: "the same",
    act: completeContainer(({ exited }) => exited),
  },
  {
    name: "there is a file system of images",
    where: "ImageFsStats of pkg/kubelet/stats/cri_stats_provider.go",
    act: async ({ cri }) => {
      const { imageFilesystems } = await cri.images.ImageFsInfo({});
      assert.ok(imageFilesystems[0]?.fsId?.mountpoint);
    },
  },
  // What UNIMPLEMENTED, or words for it, would turn off.
  {
    name: "the probe for stats: PodSandboxStats of an empty id is not UNIMPLEMENTED",
    where: "run of cmd/kubelet/app/server.go",
    act: async ({ runtime }) => {
      const code = await codeOf(runtime.PodSandboxStats({ podSandboxId: "" }));
      assert.notEqual(code, "UNIMPLEMENTED");
    },
  },
  {
    name: "the cgroup driver is told",
    where:
      "getCgroupDriverFromCRI of cmd/kubelet/app/server.go; cmd/kubeadm/app/preflight/checks.go",
    act: async ({ runtime }) => {
      const { linux } = await runtime.RuntimeConfig({});
      assert.match(linux?.cgroupDriver ?? "", /^(SYSTEMD|CGROUPFS)$/);
    },
  },
  {
    name: "a pod's resources are updated",
    where:
      "updatePodSandboxResources of pkg/kubelet/kuberuntime/kuberuntime_container.go: any error rejects a resize",
    act: ({ runtime, pod }) =>
      runtime.UpdatePodSandboxResources({
        podSandboxId: pod.id,
        resources: { cpuPeriod: 100_000n, cpuQuota: 20_000n, memoryLimitInBytes: 64n << 20n },
      }),
  },
  {
    name: "metrics are described, and each one is among the descriptors with as many labels",
    where: "pkg/kubelet/metrics/collectors/cri_metrics.go; cri-tools/pkg/validate/pod.go",
    act: async ({ runtime }) => {
      const { descriptors } = await runtime.ListMetricDescriptors({});
      const labels = new Map(descriptors.map(({ name, labelKeys }) => [name, labelKeys.length]));
      const { podMetrics } = await runtime.ListPodSandboxMetrics({});
      const all = podMetrics.flatMap((pod) => [
        ...pod.metrics,
        ...pod.containerMetrics.flatMap(({ metrics }) => metrics),
      ]);
      assert.ok(all.length > 20);
      for (const metric of all)
        assert.equal(metric.labelValues.length, labels.get(metric.name), metric.name);
    },
  },
  ...(
    [
      "StreamPodSandboxes",
      "StreamContainers",
      "StreamContainerStats",
      "StreamPodSandboxStats",
      "StreamPodSandboxMetrics",
    ] as const
  ).map((method) => ({
    name: `${method} is there: one UNIMPLEMENTED turns all of them off`,
    where: "cri-client/pkg/remote_runtime.go",
    act: streams(method),
  })),
  {
    name: "StreamImages is there",
    where: "cri-client/pkg/remote_image.go",
    act: async ({ cri }) => {
      for await (const _answer of cri.images.StreamImages({}, soon())) break;
    },
  },
  {
    name: "the stream of events does not end by itself, which counts as a failure",
    where: "watchEventsChannel of pkg/kubelet/pleg/evented.go",
    act: async ({ runtime }) => {
      for await (const _event of runtime.GetContainerEvents({}, soon(1_000))) continue;
    },
    code: "CANCELLED",
  },
  // containerd's API, as cAdvisor asks it.
  {
    name: "a container that is not there is NOT_FOUND for cAdvisor",
    where: "toNative of cadvisor/container/containerd/client.go",
    act: ({ bed }) =>
      bed.daemon
        .client("containerd.services.containers.v1.Containers")
        .Get({ id: unknownId }, { namespace: "k8s.io" }),
    code: "NOT_FOUND",
  },
  {
    name: "so is its task, which it asks for again",
    where: "newContainerdContainerHandler of cadvisor/container/containerd/handler.go",
    act: ({ bed }) =>
      bed.daemon
        .client("containerd.services.tasks.v1.Tasks")
        .Get({ containerId: unknownId }, { namespace: "k8s.io" }),
    code: "NOT_FOUND",
  },
  {
    name: "a container that runs has a spec in JSON, and its task a state and a pid",
    where: "the same",
    act: async ({ bed, running, pod }) => {
      const namespace = { namespace: "k8s.io" };
      const containers = bed.daemon.client("containerd.services.containers.v1.Containers");
      const tasks = bed.daemon.client("containerd.services.tasks.v1.Tasks");
      for (const [id, kind] of [
        [running, "container"],
        [pod.id, "sandbox"],
      ] as const) {
        const { container } = await containers.Get({ id }, namespace);
        assert.equal(typeof JSON.parse(container?.spec?.value?.toString() ?? ""), "object");
        assert.equal(container?.labels["io.cri-containerd.kind"], kind);
        const { process } = await tasks.Get({ containerId: id }, namespace);
        assert.ok(process?.status === "RUNNING" && process.pid > 0);
      }
    },
  },
];

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "OK";
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
}

suite("what kubelets, crictl and cAdvisor recognise", { skip: lacking(...podPrograms) }, () => {
  let world: World;
  let server: Server;
  before(async () => {
    const bed = await openTestbed();
    server = createServer(({ url = "" }, answer) => {
      answer.writeHead(
        url.startsWith("/v2/closed") ? 401 : url.startsWith("/v2/empty") ? 404 : 503,
      );
      answer.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { cri } = bed;
    const pod = await cri.runPod();
    const shell = bed.images.shell.reference;
    const sleeper = ["sleep", "100000"];
    const exited = await cri.startContainer(pod, shell, ["true"]);
    world = {
      bed,
      cri,
      runtime: cri.runtime,
      pod,
      running: await cri.startContainer(pod, shell, sleeper),
      created: await cri.createContainer(pod, shell, sleeper),
      exited,
      registry: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    };
    await cri.reaches(exited, "CONTAINER_EXITED");
  });
  after(async () => {
    server?.close();
    await world?.bed.finish();
  });

  for (const { name, where, act, code, message } of rows) {
    test(name, async (t) => {
      t.diagnostic(where);
      if (code === undefined) return void (await act(world));
      await assert.rejects(act(world), (error) => {
        assert.ok(isFault(error), String(error));
        assert.equal(error.code, code, error.message);
        if (message) assert.match(error.message, message);
        return true;
      });
    });
  }
});
