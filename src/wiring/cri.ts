// SPDX-License-Identifier: Apache-2.0
import os from "node:os";
import { cleanupDeadline } from "../base/cancellable.ts";
import { unlessAborted } from "../base/waits.ts";
import { createClient } from "../client/client.ts";
import { createOutputCapture } from "../client/io/capture-io.ts";
import { kindLabel } from "../client/kind-label.ts";
import type { ReloadPart } from "../config/reload-port.ts";
import { parseDigest } from "../content/digest.ts";
import {
  callKinds,
  createRuntimeService,
  type RuntimeService,
} from "../cri/create-runtime-service.ts";
import { createDefaultRuntime } from "../cri/handlers/default-runtime/create-default-runtime.ts";
import { askHandlerFeatures } from "../cri/handlers/handler-features.ts";
import type { ShimPrograms } from "../cri/handlers/shim-programs.ts";
import { watchRuntimeFlaws } from "../cri/handlers/watch-runtime-flaws.ts";
import { createImageService } from "../cri/image-service/image-service.ts";
import type { AdjustSpec } from "../cri/nri/nri-reviewer.ts";
import { classByName } from "../cri/oci-spec/classes/blockio.ts";
import { readHostFacts } from "../cri/oci-spec/host-facts.ts";
import { noRuntimeFeatures } from "../cri/oci-spec/runtime-features.ts";
import { checkPulledProfile } from "../cri/oci-spec/seccomp/check-pulled-profile.ts";
import { ProfileReader } from "../cri/oci-spec/seccomp/profile-reader.ts";
import { createSpecBuilders } from "../cri/oci-spec/spec-builders.ts";
import { createSpecServices } from "../cri/oci-spec/spec-services.ts";
import { criNamespace } from "../cri/ports.ts";
import { createHostMounts } from "../cri/sandbox/host-mounts.ts";
import type { SpecReviewer } from "../cri/spec-review.ts";
import { createStatsReaders } from "../cri/stats/stats-readers.ts";
import { createLayerArchives } from "../diff/layer-archives.ts";
import { clearScratchMounts } from "../diff/scratch-mounts.ts";
import { createImages } from "../images/create-images.ts";
import type { ImageChanges } from "../images/image-changes.ts";
import type { ImageLibrary } from "../images/image-library.ts";
import { hostPlatform } from "../images/manifest/platform.ts";
import { StoredProfiles } from "../images/profiles/security-profiles.ts";
import { WorkerContainerLogs } from "../logs/container-logs.ts";
import type { ContainerLogs } from "../logs/ports.ts";
import { CgroupLayout } from "../metrics/cgroup/cgroup-layout.ts";
import { KernelFigures } from "../metrics/kernel-figures.ts";
import type { TaskSamples } from "../metrics/task-samples.ts";
import { type CniPodNetwork, createPodNetwork } from "../network/cni.ts";
import { PinnedNamespaces } from "../network/pinned-namespaces.ts";
import { pauseBinaryPath } from "../pause/pause-binary.ts";
import { preparePauseRootfs } from "../pause/pause-rootfs.ts";
import { type Plugin, plugin } from "../plugin/plugin.ts";
import { inProcessClient } from "../rpc/in-process.ts";
import { ShimBinaries } from "../runtime/shim/binary.ts";
import { readShimFeatures } from "../runtime/shim/shim-info.ts";
import { clearTrials } from "../runtime/trial/clear-trial.ts";
import { tryRuntime } from "../runtime/trial/runtime-trial.ts";
import { createBerthImagesService } from "../services/berth-images-service.ts";
import { createBerthNriService } from "../services/berth-nri-service.ts";
import { createBerthOperationsService } from "../services/berth-operations-service.ts";
import { publishNameChange } from "../services/image-events.ts";
import { publishTransfer, transferOperation } from "../services/transfer-events.ts";
import { TreeWorker } from "../trees/tree-worker.ts";
import type { Telling } from "./cluster.ts";
import { type Environment, pluginTypes } from "./environment.ts";
import { grpcService, type ServingPlugins } from "./grpc-services.ts";
import { openNri } from "./nri.ts";
import { watchOomKills } from "./oom-kills.ts";
import type { RuntimePlugins } from "./runtime.ts";
import type { ServicePlugins } from "./services.ts";
import type { StoragePlugins } from "./storage.ts";

/** The CRI runtime service, and what others than its callers need of it. */
export interface CriRuntime extends RuntimeService, AsyncDisposable {
  readonly samples: TaskSamples;
  /** What takes up a reload. */
  readonly reload: readonly ReloadPart[];
}

export interface CriPlugins extends ServingPlugins {
  readonly network: Plugin<CniPodNetwork>;
  readonly images: Plugin<ImageLibrary>;
  readonly logs: Plugin<ContainerLogs>;
  readonly runtime: Plugin<CriRuntime>;
}

export interface CriExtras {
  readonly exchange: RuntimePlugins["exchange"];
  readonly platform: RuntimePlugins["runtime"];
  /** What operator plugins say to a new spec, if there are any. */
  readonly review: SpecReviewer | undefined;
  readonly imageChanges: ImageChanges;
  readonly telling: Telling;
}

/**
 * Kubelets pull one image after another, each once the pods before it are up: the next one mostly comes within this
 * time. A process that has extracted a layer has its program loaded and compiled, which is half of the work on fifty MiB.
 */
const keepExtractorsMs = 10_000;

/** The CRI side: images, pod network, logs, and the two services that the kubelet calls. */
export function criPlugins(
  environment: Environment,
  { metadata, content, trees, overlayfs, garbage }: StoragePlugins,
  { tasks, containers }: ServicePlugins,
  { exchange, platform, review, imageChanges, telling }: CriExtras,
): CriPlugins {
  const { config, layout, live, log, memory, metrics, reloads, sockets, version } = environment;
  const type = pluginTypes.cri;
  const pause = plugin({
    type,
    id: "sandbox-image",
    requires: {},
    init: () => preparePauseRootfs({ binary: pauseBinaryPath(), folder: layout.pause }),
  });
  const images = plugin({
    type,
    id: "images",
    requires: { metadata, content, overlayfs, garbage, pause, exchange },
    init: async ({ metadata, content, overlayfs, garbage, pause, exchange }, context) => {
      const { digest, sizeBytes } = pause;
      const library = await createImages({
        namespace: criNamespace,
        content,
        snapshotter: overlayfs,
        garbage,
        metadata,
        get config() {
          return live.current.images;
        },
        get registry() {
          return live.current.registry;
        },
        platform: hostPlatform(),
        builtin: [{ name: config.cri.sandboxImage, id: parseDigest(digest), sizeBytes }],
        log,
        keepExtractorsMs,
        onNameChange: (change) => publishNameChange(exchange, criNamespace, change),
        onTransfer: (news) => publishTransfer(exchange, criNamespace, news),
        signal: context.signal,
      });
      imageChanges.listen(criNamespace, () => library.refreshAll({ signal: cleanupDeadline() }));
      garbage.scheduleAll(); // now that the images' own roots are known
      return library;
    },
  });
  const profileReader = new ProfileReader();
  const profiles = plugin({
    type,
    id: "security-profiles",
    requires: { metadata, content, garbage },
    init: ({ metadata, content, garbage }) =>
      new StoredProfiles({
        namespace: criNamespace,
        content,
        garbage,
        metadata,
        get config() {
          return live.current.images;
        },
        get registry() {
          return live.current.registry;
        },
        check: (text, call) => checkPulledProfile(text, profileReader, call),
        log,
      }),
  });
  const network = plugin({
    type,
    id: "network",
    requires: {},
    exports: {
      get conf_dir() {
        return live.current.cni.confDir;
      },
    },
    init: (_, context) => {
      const { cni, timeouts } = live.current;
      context.waitsFor("the folder of CNI configurations");
      return createPodNetwork({ config: cni, log, timeouts });
    },
  });
  const netns = plugin({
    type,
    id: "network-namespaces",
    requires: {},
    init: () => {
      const folder = layout.netns;
      return new PinnedNamespaces({ folder, program: pauseBinaryPath(), log });
    },
  });
  const logs = plugin({
    type,
    id: "logs",
    requires: {},
    init: () =>
      new WorkerContainerLogs({
        folder: layout.fifos,
        get maxLineBytes() {
          return live.current.cri.maxContainerLogLineSize;
        },
        holder: pauseBinaryPath(),
        log,
        onLoss: (id, what) => {
          const message = (name: string) => `log lines of container "${name}" ${what}`;
          telling.notice({ kind: "LogLinesLost", id, message });
        },
      }),
  });
  const runtime = plugin({
    type,
    id: "runtime",
    requires: {
      metadata,
      trees,
      overlayfs,
      tasks,
      containers,
      pause,
      images,
      profiles,
      network,
      netns,
      logs,
      exchange,
      platform,
    },
    init: async (
      { metadata, trees, overlayfs, tasks, containers, pause, images, network, netns, ...others },
      context,
    ) => {
      const { logs, profiles, exchange, platform } = others;
      const features = askHandlerFeatures(
        live.current.runtime,
        { shims: shimPrograms, kernelRelease: os.release() },
        context,
      );
      context.waitsFor("what the host says of itself");
      const [hostFacts, cgroups] = await Promise.all([readHostFacts(), CgroupLayout.read()]);
      const closing = new AbortController();
      const scratchFolder = layout.checkpointMounts;
      context.waitsFor("mounts that a crash has left");
      await clearScratchMounts(scratchFolder, trees.remover);
      const figures = new KernelFigures();
      const readers = await createStatsReaders({
        figures,
        work: trees.work,
        layout: cgroups,
        snapshotter: overlayfs,
        config,
        live,
        tasks: () => service.tasks(),
        sandboxOf: (id) => service.sandboxOf(id),
      });
      const specServices = createSpecServices(live.current, hostFacts, log, closing.signal);
      const pulledProfile = (reference: string) =>
        profiles.read(reference, { signal: closing.signal });
      const reading = new TreeWorker({ name: "berth-reading", log, niceness: 5 });
      const flaws = watchRuntimeFlaws(live.current.runtime, log, closing.signal);
      const adjustSpec: AdjustSpec = async (spec, adjust, { handler }) => {
        const { applyAdjustment } = await import("../cri/oci-spec/nri/apply-adjustment.ts");
        return applyAdjustment(spec, adjust, {
          host: hostFacts,
          features: handler?.features ?? noRuntimeFeatures,
          blockio: (name) => classByName(name, specServices.blockio),
        });
      };
      const nri = await openNri(environment, () => service.nodeState, adjustSpec);
      const specs = createSpecBuilders(
        { ...specServices, pulledProfile, profiles: profileReader },
        reading,
      );
      const defaultRuntime = createDefaultRuntime({
        live,
        features: features.of,
        container: { specs, host: hostFacts, pauseRootfs: pause.path },
        trials: {
          run: (trial, { signal }) =>
            tryRuntime({ ...trial, folder: layout.runtimeTrials }, { log, signal }),
          clear: () => clearTrials(layout.runtimeTrials, log),
        },
        unseen: { program: layout.unseenCrun, binary: pauseBinaryPath() },
        file: layout.defaultRuntime,
        log,
        lifetime: closing.signal,
      });
      await defaultRuntime.open();
      const service: RuntimeService = createRuntimeService({
        client: createClient({
          namespace: criNamespace,
          inProcess: true,
          services: {
            tasks: inProcessClient("containerd.services.tasks.v1.Tasks", tasks),
            containers: inProcessClient("containerd.services.containers.v1.Containers", containers),
          },
        }),
        images,
        snapshotter: overlayfs,
        remover: trees.remover,
        network,
        netns,
        logs,
        metadata,
        get config() {
          return live.current;
        },
        reloads: () => reloads.facts,
        facts: telling.facts,
        cluster: () => telling.state(),
        memory: () => memory.facts(),
        lostSockets: () => sockets.lost(),
        placeForExec: (container, call) => memory.placeForExec(container, call),
        specs,
        hostFacts,
        features: features.of,
        defaultRuntime,
        flawedRuntimes: () => [...flaws.list(), ...defaultRuntime.flaws()],
        hostMounts: createHostMounts({
          program: pauseBinaryPath(),
          scratchFolder: layout.mappedMounts,
        }),
        layerArchives: createLayerArchives({
          snapshotter: overlayfs,
          namespace: criNamespace,
          labels: { [kindLabel]: "checkpoint" },
          program: pauseBinaryPath(),
          scratchFolder,
        }),
        capture: createOutputCapture(layout.fifos, memory.execOutput),
        ...readers,
        pauseRootfs: pause.path,
        version,
        log,
        review,
        nodePlugins: nri,
        lateTask: (id) => platform.late(criNamespace, id),
        beforeOpening: async (call) => {
          await unlessAborted(features.asked, call.signal);
          await nri?.start(call);
        },
        hooks: {
          onStage: ({ rpc, stage, seconds }) => {
            if (rpc === "RunPodSandbox") metrics.recordPodStartStage(stage, seconds);
          },
          onEventDropped: () => metrics.recordEventsDropped(1),
          onOomKill: () => metrics.recordOomKill(),
          onSessionEnd: (kind) => {
            if (kind !== "port_forward") metrics.recordExec(kind);
          },
        },
      });
      telling.use(service);
      const oomKills = watchOomKills(exchange, (id) => service.oomKilled(id), log);
      const { samples } = readers;
      const reload = [
        features.reload,
        defaultRuntime.reload,
        flaws.reload,
        ...specServices.reload,
        ...(nri?.reload ?? []),
      ];
      const close = async (): Promise<void> => {
        closing.abort();
        oomKills[Symbol.dispose]();
        // What is being made ends with the daemon's life, and is not finished without the plugins.
        const closed = service.close();
        await nri?.[Symbol.asyncDispose]();
        await closed;
        await defaultRuntime.idle();
        await Promise.all([reading[Symbol.asyncDispose](), figures[Symbol.asyncDispose]()]);
      };
      const recover: RuntimeService["recover"] = async (call) => {
        const summary = await service.recover(call);
        defaultRuntime.begin();
        return summary;
      };
      return { ...service, recover, samples, reload, [Symbol.asyncDispose]: close };
    },
  });
  const runtimeService = plugin({
    type,
    id: "runtime-service",
    requires: { runtime },
    init: ({ runtime }) => runtime.service,
  });
  const imageService = plugin({
    type,
    id: "image-service",
    requires: { images, profiles },
    init: ({ images, profiles }) =>
      createImageService({
        images,
        profiles,
        facts: telling.facts,
        transferOf: (reference) => images.transferOf(reference),
        inspect: (image, call) => images.inspect(image, call),
      }),
  });
  const berthImages = plugin({
    type,
    id: "berth-images",
    requires: { images },
    init: ({ images }) => createBerthImagesService(images),
  });
  const berthOperations = plugin({
    type,
    id: "berth-operations",
    requires: { runtime, images },
    init: ({ runtime, images }) =>
      createBerthOperationsService(() => [
        ...runtime.operations(),
        ...images.transfers.list().map(transferOperation),
      ]),
  });
  const berthNri = plugin({
    type,
    id: "berth-nri",
    requires: { runtime },
    init: ({ runtime }) => createBerthNriService(() => runtime.nriPlugins()),
  });
  return {
    plugins: [
      pause,
      images,
      profiles,
      network,
      netns,
      logs,
      runtime,
      runtimeService,
      imageService,
      berthImages,
      berthOperations,
      berthNri,
    ],
    grpc: [
      grpcService("cri", "runtime.v1.RuntimeService", runtimeService, callKinds),
      grpcService("cri-images", "runtime.v1.ImageService", imageService, {
        costly: ["PullImage", "PullSecurityProfile"],
      }),
      grpcService("berth-images", "berth.v1.Images", berthImages, {
        costly: ["Load", "LoadWatched", "Pull", "Push", "Unpack"],
      }),
      grpcService("berth-operations", "berth.v1.Operations", berthOperations),
      grpcService("berth-nri", "berth.v1.Nri", berthNri),
    ],
    network,
    images,
    logs,
    runtime,
  };
}

/** Found anew each time: a reload may follow the installation of one. */
const shimPrograms: ShimPrograms = {
  find: (type, shim) => new ShimBinaries().resolve(type, shim),
  features: readShimFeatures,
};
