// SPDX-License-Identifier: Apache-2.0
import { readFile, rm } from "node:fs/promises";
import { isFault } from "../../src/base/errors.ts";
import type {
  Container,
  ContainerConfigInit,
  ContainerStatus,
  PodSandboxConfigInit,
} from "../../src/gen/cri.gen.ts";
import { linesOf } from "../support/cri-log.ts";
import type { Cri, ExecResult } from "../support/pods.ts";
import type { Random } from "../support/random.ts";
import { until } from "../support/until.ts";
import type { DaemonLife } from "./daemon-life.ts";
import type { Ledger } from "./ledger.ts";

/** A pod of a lane, as its kubelet knows it. */
export interface LanePod {
  readonly id: string;
  readonly config: PodSandboxConfigInit;
  /** Empty with the node's network. */
  readonly ip: string;
}

export interface LaneContainer {
  readonly id: string;
  readonly name: string;
  readonly config: ContainerConfigInit;
}

/** Calls with a kubelet's manners: after a broken one it looks what is there, and goes on from that. */
export class Lane {
  readonly number: number;
  readonly cri: Cri;
  readonly life: DaemonLife;
  readonly ledger: Ledger;
  readonly random: Random;
  /** The pods of the present cycle, for the broom after a failure. */
  #configs: PodSandboxConfigInit[] = [];

  constructor(
    number: number,
    shared: { readonly cri: Cri; readonly life: DaemonLife; readonly ledger: Ledger },
    random: Random,
  ) {
    this.number = number;
    this.cri = shared.cri;
    this.life = shared.life;
    this.ledger = shared.ledger;
    this.random = random;
  }

  /** A new pod's config, with the label by which its kubelet finds it. */
  podConfig(change: PodSandboxConfigInit): PodSandboxConfigInit {
    const config = this.cri.podConfig(change);
    const labels = { ...config.labels, "io.kubernetes.pod.uid": uidOf(config) };
    const labelled = { ...config, labels };
    this.#configs.push(labelled);
    return labelled;
  }

  runPod(change: PodSandboxConfigInit = {}, handler = ""): Promise<LanePod> {
    return this.runPodAs(this.podConfig(change), handler);
  }

  async runPodAs(first: PodSandboxConfigInit, handler = ""): Promise<LanePod> {
    const uid = uidOf(first);
    for (let attempt = 0; ; attempt += 1) {
      const config = { ...first, metadata: { ...first.metadata, attempt } };
      const made = await this.life.attempt(() =>
        this.cri.runtime.RunPodSandbox({ config, runtimeHandler: handler }),
      );
      const id = made === "killed" ? await this.#survivor(uid) : made.value.podSandboxId;
      if (id === undefined) continue;
      this.ledger.takeId(id, "sandbox");
      return this.#checkedPod(id, config);
    }
  }

  /** The pod that a broken RunPodSandbox made after all; what is there of it and not ready goes. */
  async #survivor(uid: string): Promise<string | undefined> {
    const labelSelector = { "io.kubernetes.pod.uid": uid };
    const { items } = await this.life.survive(() =>
      this.cri.runtime.ListPodSandbox({ filter: { labelSelector } }),
    );
    const ready = items.find(({ state }) => state === "SANDBOX_READY");
    for (const { id } of items) if (id !== ready?.id) await this.removeSandbox(id);
    return ready?.id;
  }

  async #checkedPod(id: string, config: PodSandboxConfigInit): Promise<LanePod> {
    const status = await this.life.survive(() => this.cri.podStatus(id));
    const isOfNode = config.linux?.securityContext?.namespaceOptions?.network === "NODE";
    const ip = status.network?.ip ?? "";
    this.ledger.equal(
      "status",
      `pod ${id}`,
      [status.state, status.metadata, status.labels],
      [
        "SANDBOX_READY",
        {
          name: config.metadata?.name,
          uid: config.metadata?.uid,
          namespace: config.metadata?.namespace,
          attempt: config.metadata?.attempt,
        },
        config.labels,
      ],
    );
    this.ledger.check(
      "status",
      isOfNode === (ip === ""),
      () => `pod ${id} has the address "${ip}"`,
    );
    if (ip !== "") this.ledger.takeAddress(ip, id);
    return { id, config, ip };
  }

  async createContainer(
    pod: LanePod,
    image: string,
    command: readonly string[],
    change: ContainerConfigInit = {},
  ): Promise<LaneContainer> {
    let config = this.cri.containerConfig(image, command, change);
    const name = config.metadata?.name ?? "";
    const first = config.metadata?.attempt ?? 0;
    for (let attempt = first; ; attempt += 1) {
      config = { ...config, metadata: { name, attempt } };
      const made = await this.life.attempt(() =>
        this.cri.runtime.CreateContainer({
          podSandboxId: pod.id,
          config,
          sandboxConfig: pod.config,
        }),
      );
      if (made !== "killed") {
        this.ledger.takeId(made.value.containerId, "container");
        return { id: made.value.containerId, name, config };
      }
      // A kubelet starts another one for a container that was made and never ran.
      for (const { id, metadata } of await this.containersOf(pod)) {
        if (metadata?.name === name && metadata.attempt === attempt) await this.remove(id);
      }
    }
  }

  /** Starts it, whatever is killed meanwhile; it may have run to its end when this returns. */
  async start(container: LaneContainer): Promise<void> {
    for (;;) {
      const started = await this.life.attempt(() =>
        this.cri.runtime.StartContainer({ containerId: container.id }),
      );
      if (started !== "killed") return;
      const { state } = await this.status(container);
      if (state !== "CONTAINER_CREATED") return;
    }
  }

  async run(
    pod: LanePod,
    image: string,
    command: readonly string[],
    change: ContainerConfigInit = {},
  ): Promise<LaneContainer> {
    const container = await this.createContainer(pod, image, command, change);
    await this.start(container);
    return container;
  }

  status({ id }: LaneContainer): Promise<ContainerStatus> {
    return this.life.survive(() => this.cri.status(id));
  }

  async containersOf(pod: LanePod): Promise<readonly Container[]> {
    const { containers } = await this.life.survive(() =>
      this.cri.runtime.ListContainers({ filter: { podSandboxId: pod.id } }),
    );
    return containers;
  }

  /** Waits for its end, and checks how it is told. */
  async ends(container: LaneContainer, exitCode: number): Promise<void> {
    const status = await until(
      `container ${container.id} ends`,
      async () => {
        const now = await this.status(container);
        return now.state === "CONTAINER_EXITED" ? now : undefined;
      },
      { timeoutMs: 60_000, everyMs: 50 },
    );
    this.checkEnd(container, status, exitCode);
  }

  checkEnd(container: LaneContainer, status: ContainerStatus, exitCode: number): void {
    const { state, reason } = status;
    this.ledger.equal(
      "exits",
      `container ${container.id}`,
      [state, status.exitCode, reason],
      ["CONTAINER_EXITED", exitCode, exitCode === 0 ? "Completed" : "Error"],
    );
    const { createdAt, startedAt, finishedAt } = status;
    this.ledger.check("status", createdAt <= startedAt && startedAt <= finishedAt, () => {
      return `container ${container.id}: created ${createdAt}, started ${startedAt}, finished ${finishedAt}`;
    });
  }

  async checkRunning(pod: LanePod, container: LaneContainer): Promise<void> {
    const status = await this.status(container);
    this.ledger.equal(
      "status",
      `container ${container.id}`,
      [status.state, status.metadata],
      ["CONTAINER_RUNNING", { name: container.name, attempt: container.config.metadata?.attempt }],
    );
    const listed = (await this.containersOf(pod)).find(({ id }) => id === container.id);
    this.ledger.equal(
      "status",
      `container ${container.id} in the list`,
      listed?.state,
      status.state,
    );
  }

  exec(container: LaneContainer, cmd: readonly string[]): Promise<ExecResult> {
    return this.life.survive(() => this.cri.exec(container.id, cmd));
  }

  /** Waits for the last line, then wants all of them, once and in order, whenever the daemon was killed. */
  async checkLog(container: LaneContainer, lines: readonly string[]): Promise<void> {
    const { logPath } = await this.status(container);
    const last = lines.at(-1) ?? "";
    let text = "";
    await until(
      `the log of ${container.id} has its last line`,
      async () => {
        text = await readFile(logPath, "utf8");
        return text.endsWith(`${last}\n`);
      },
      { timeoutMs: 30_000, everyMs: 50 },
    ).catch(() => {}); // what is missing is told below
    const is = linesOf(text);
    this.ledger.check("logs", is.join("\n") === lines.join("\n"), () => {
      const at = lines.findIndex((line, index) => is[index] !== line);
      return `${logPath}: ${is.length} lines of ${lines.length}, the ${at}th is ${JSON.stringify(is[at])}`;
    });
  }

  async stop({ id }: LaneContainer): Promise<void> {
    await this.life.survive(() =>
      this.cri.runtime.StopContainer({ containerId: id, timeout: 10n }),
    );
  }

  async remove(id: string): Promise<void> {
    await this.life.survive(() => this.cri.runtime.RemoveContainer({ containerId: id }));
    const status = await this.life.survive(async () => {
      try {
        return await this.cri.status(id);
      } catch (error) {
        if (isFault(error, "NOT_FOUND")) return undefined;
        throw error;
      }
    });
    this.ledger.check("removal", status === undefined, () => `container ${id} is still there`);
  }

  async removePod(pod: LanePod): Promise<void> {
    this.ledger.giveAddress(pod.ip, pod.id);
    await this.removeSandbox(pod.id);
    await this.#removeLogs(pod.config);
  }

  async removeSandbox(id: string): Promise<void> {
    await this.life.survive(() => this.cri.removePod(id));
    const left = await this.life.survive(() => this.cri.runtime.ListPodSandbox({ filter: { id } }));
    this.ledger.equal("removal", `pods with id ${id}`, left.items.length, 0);
  }

  /** Removes all that a kubelet would find of a pod. */
  async #clear(config: PodSandboxConfigInit): Promise<void> {
    const labelSelector = { "io.kubernetes.pod.uid": uidOf(config) };
    const { items } = await this.life.survive(() =>
      this.cri.runtime.ListPodSandbox({ filter: { labelSelector } }),
    );
    for (const { id } of items) await this.removeSandbox(id);
    await this.#removeLogs(config);
  }

  /** The end of a cycle: after a failure what it left goes. */
  async endCycle(isClean: boolean): Promise<void> {
    const configs = this.#configs;
    this.#configs = [];
    if (!isClean) for (const config of configs) await this.#clear(config);
  }

  /** The folder of logs is the kubelet's to remove. */
  async #removeLogs({ logDirectory }: PodSandboxConfigInit): Promise<void> {
    if (logDirectory) await rm(logDirectory, { recursive: true, force: true });
  }
}

function uidOf(config: PodSandboxConfigInit): string {
  return config.metadata?.uid ?? "";
}
