// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import path from "node:path";
import { isFault } from "../../src/base/errors.ts";
import type {
  ContainerConfigInit,
  ContainerState,
  ContainerStatus,
  PodSandboxConfigInit,
  PodSandboxStatus,
} from "../../src/gen/cri.gen.ts";
import type { ServiceClient } from "../../src/rpc/service.ts";
import type { GrpcPeer } from "./grpc-peer.ts";
import { until } from "./until.ts";

/** What every pod made here shares: where its logs go, which cgroup its cgroups are below. */
export interface PodSettings {
  readonly logRoot: string;
  /** `/berth-e2e-TAG`; the leak check looks below it. */
  readonly cgroupParent: string;
}

/** A pod that runs: what its requests were, for the calls that repeat them. */
export interface RunningPod {
  readonly id: string;
  readonly config: PodSandboxConfigInit;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** As kubelets ask unless a pod shares its process namespace. */
const ownPids = { namespaceOptions: { pid: "CONTAINER" } } as const;

let counter = 0;

/** The CRI as a test uses it: pods and containers in few words, over any runtime's socket. */
export class Cri {
  readonly runtime: ServiceClient<"runtime.v1.RuntimeService">;
  readonly images: ServiceClient<"runtime.v1.ImageService">;
  readonly settings: PodSettings;
  /** Every sandbox id this client was ever given, for the leak check. */
  readonly seen = new Set<string>();

  constructor(peer: GrpcPeer, settings: PodSettings) {
    this.runtime = peer.client("runtime.v1.RuntimeService");
    this.images = peer.client("runtime.v1.ImageService");
    this.settings = settings;
  }

  /** A pod's config with a name of its own; `change` wins. */
  podConfig(change: PodSandboxConfigInit = {}): PodSandboxConfigInit {
    counter += 1;
    const name = `pod-${counter}`;
    const uid = `uid-${process.pid}-${counter}`;
    const { linux, ...rest } = change;
    const isHosts = linux?.securityContext?.namespaceOptions?.network === "NODE";
    return {
      metadata: { name, namespace: "default", uid, attempt: 0 },
      hostname: isHosts ? "" : name,
      logDirectory: path.join(this.settings.logRoot, uid),
      dnsConfig: { servers: ["10.0.0.10"], searches: ["cluster.local"], options: ["ndots:5"] },
      labels: { "io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": "default" },
      annotations: { "test.berth/made-by": "e2e" },
      linux: { cgroupParent: this.settings.cgroupParent, securityContext: ownPids, ...linux },
      ...rest,
    };
  }

  async runPod(change: PodSandboxConfigInit = {}, runtimeHandler = ""): Promise<RunningPod> {
    const config = this.podConfig(change);
    const { podSandboxId } = await this.runtime.RunPodSandbox({ config, runtimeHandler });
    this.seen.add(podSandboxId);
    return { id: podSandboxId, config };
  }

  /** A container's config; its log goes to NAME.log in the pod's log folder. */
  containerConfig(
    image: string,
    command: readonly string[],
    change: ContainerConfigInit = {},
  ): ContainerConfigInit {
    counter += 1;
    const name = change.metadata?.name ?? `container-${counter}`;
    const { linux, ...rest } = change;
    return {
      metadata: { name, attempt: 0 },
      image: { image },
      command,
      logPath: `${name}.log`,
      labels: { "io.kubernetes.container.name": name },
      linux: { securityContext: ownPids, ...linux },
      ...rest,
    };
  }

  async createContainer(
    pod: RunningPod,
    image: string,
    command: readonly string[],
    change: ContainerConfigInit = {},
  ): Promise<string> {
    const config = this.containerConfig(image, command, change);
    const { containerId } = await this.runtime.CreateContainer({
      podSandboxId: pod.id,
      config,
      sandboxConfig: pod.config,
    });
    return containerId;
  }

  async startContainer(
    pod: RunningPod,
    image: string,
    command: readonly string[],
    change: ContainerConfigInit = {},
  ): Promise<string> {
    const containerId = await this.createContainer(pod, image, command, change);
    await this.runtime.StartContainer({ containerId });
    return containerId;
  }

  async status(containerId: string): Promise<ContainerStatus> {
    const { status } = await this.runtime.ContainerStatus({ containerId });
    if (status === null) throw new Error(`container ${containerId} has no status`);
    return status;
  }

  async podStatus(podSandboxId: string): Promise<PodSandboxStatus> {
    const { status } = await this.runtime.PodSandboxStatus({ podSandboxId });
    if (status === null) throw new Error(`sandbox ${podSandboxId} has no status`);
    return status;
  }

  async reaches(containerId: string, state: ContainerState): Promise<ContainerStatus> {
    return until(`container is ${state}`, async () => {
      const status = await this.status(containerId);
      if (status.state !== state) throw new Error(`it is ${status.state}`);
      return status;
    });
  }

  async exec(containerId: string, cmd: readonly string[], timeout = 120): Promise<ExecResult> {
    const answer = await this.runtime.ExecSync({ containerId, cmd, timeout: BigInt(timeout) });
    return {
      exitCode: answer.exitCode,
      stdout: answer.stdout.toString(),
      stderr: answer.stderr.toString(),
    };
  }

  /** The container's log file as it is now. */
  async logOf(containerId: string): Promise<string> {
    return readFile((await this.status(containerId)).logPath, "utf8");
  }

  /** As a kubelet does: while the pod's network is not down, RemovePodSandbox is UNAVAILABLE and is asked again. */
  async removePod(podSandboxId: string): Promise<void> {
    await this.runtime.StopPodSandbox({ podSandboxId });
    for (let retries = 2; ; retries -= 1) {
      try {
        await this.runtime.RemovePodSandbox({ podSandboxId });
        return;
      } catch (error) {
        if (retries === 0 || !isFault(error, "UNAVAILABLE")) throw error;
      }
    }
  }

  /** Stops and removes all pods there are; what fails is told together. */
  async removeAllPods(): Promise<void> {
    const { items } = await this.runtime.ListPodSandbox({});
    const ends = await Promise.allSettled(items.map((item) => this.removePod(item.id)));
    const failures = ends.filter((end) => end.status === "rejected");
    if (failures.length > 0) {
      const reasons = failures.map((end) => end.reason as unknown);
      throw new AggregateError(
        reasons,
        `${failures.length} of ${items.length} pods could not be removed: ${reasons.join("; ")}`,
      );
    }
  }
}
