// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { LinuxContainerResources } from "../../gen/cri.gen.ts";
import type { ContainerInit, ContainerUpdate, PodSandboxInit } from "../../nri/messages.ts";
import type { MissingPlugin, NodePlugins, ToldEvent } from "../../nri/ports.ts";
import type { OciSpec } from "../../oci/spec.ts";
import type { LimitChange } from "../container/change-limits.ts";
import { specOf } from "../convert/verbose-json.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { LiveTask } from "../live/live-task.ts";
import type { CriParts } from "../parts.ts";
import { type ContainerRecord, containersOf } from "../store/container-record.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { containerMessage } from "./container-message.ts";
import { naming } from "./name-askers.ts";
import { podMessage } from "./pod-message.ts";
import { fromCriResources, toLimitChange } from "./resource-messages.ts";

export interface NriCallsNeeds
  extends Pick<CriParts, "containers" | "liveContainers" | "liveSandboxes" | "sandboxes"> {
  readonly lifetime: AbortSignal;
  readonly log: CriParts["log"];
  readonly plugins: NodePlugins;
  /** Applies what plugins make of other containers; logs what fails. */
  readonly applyUpdates: (updates: readonly ContainerUpdate[], call: Cancellable) => Promise<void>;
}

type ContainerEvent = Extract<ToldEvent, `${string}Container`>;

/**
 * What verbs tell the node's plugins, and ask them, of pods and containers that are. Messages are made only when a plugin
 * wants them, of what was true at the call. What fails here fails the verb where NRI has it so; all else is logged.
 */
export class NriCalls {
  readonly #parts: NriCallsNeeds;
  /** Containers whose end was found before plugins could know of it; undefined once they can. */
  #foundEnded: Set<string> | undefined = new Set();

  constructor(parts: NriCallsNeeds) {
    this.#parts = parts;
  }

  /** False with no plugin at all: then nothing need be done in another order for them. */
  get active(): boolean {
    return this.#parts.plugins.active;
  }

  /** Required plugins that are not connected. */
  missing(): readonly MissingPlugin[] {
    return this.#parts.plugins.missing();
  }

  /**
   * After recovery, with those plugins synchronized that the daemon starts. They learn of what ended while it was away;
   * where there is none yet, those do that are there when it is removed.
   */
  open(): void {
    const ended = this.#foundEnded ?? [];
    this.#foundEnded = undefined;
    if (!this.active) return;
    const call = { signal: this.#parts.lifetime };
    for (const id of ended) this.stopped(id, call).catch(() => {});
  }

  /** RunPodSandbox, of one that is up and not yet shown. Disposed when it is. */
  podRuns(op: Operation, record: SandboxRecord): Promise<Disposable> {
    const pod = this.pod(record);
    op.undo("nri", async (call) => {
      await this.#tell("StopPodSandbox", { pod }, call);
      await this.#tell("RemovePodSandbox", { pod }, call);
    });
    return this.#asked(op, () => this.#parts.plugins.runPodSandbox(pod, op));
  }

  /** UpdatePodSandbox. */
  podUpdates(
    op: Operation,
    record: SandboxRecord,
    overhead: LinuxContainerResources | null,
    resources: LinuxContainerResources | null,
  ): Promise<void> {
    const pod = this.pod(record);
    return this.#asked(op, () =>
      this.#parts.plugins.updatePodSandbox(
        () => ({
          pod: pod(),
          overheadLinuxResources: fromCriResources(overhead),
          linuxResources: fromCriResources(resources),
        }),
        op,
      ),
    );
  }

  podUpdated(record: SandboxRecord, call: Cancellable): Promise<void> {
    return this.#tell("PostUpdatePodSandbox", { pod: this.pod(record) }, call);
  }

  /** StopPodSandbox, once in its life. */
  podStopped(id: string, call: Cancellable): Promise<void> {
    const record = this.#parts.sandboxes.get(id);
    if (!record) return Promise.resolve();
    const pod = this.pod(record);
    return this.#once(this.#parts.liveSandboxes.of(id), "stopped", call, async (own) => {
      // Those of its containers that have ended are told of first.
      const { containers, liveContainers } = this.#parts;
      for (const container of containersOf(containers, id)) {
        await liveContainers.get(container.id)?.told("stopped");
      }
      await this.#tell("StopPodSandbox", { pod }, own);
    });
  }

  /** RemovePodSandbox, once in its life. */
  podRemoved(id: string, call: Cancellable): Promise<void> {
    const record = this.#parts.sandboxes.get(id);
    if (!record) return Promise.resolve();
    return this.#once(this.#parts.liveSandboxes.of(id), "removed", call, (own) =>
      this.#tell("RemovePodSandbox", { pod: this.pod(record) }, own),
    );
  }

  /** StartContainer, of a task that is made and not started. What a plugin refuses ends the start. */
  starts(op: Operation, record: ContainerRecord, pid: number): Promise<void> {
    const { pod, container } = this.#both(record);
    const withPid = (): ContainerInit => ({ ...container(), pid });
    return this.#asked(op, () =>
      this.#parts.plugins.tell({ kind: "StartContainer", pod, container: withPid }, op),
    );
  }

  /** UpdateContainer: what to change instead of what was asked for. Others' containers are changed before it answers. */
  async updates(
    op: Operation,
    record: ContainerRecord,
    asked: LinuxContainerResources,
  ): Promise<LimitChange> {
    const { pod, container } = this.#both(record);
    const outcome = await this.#asked(op, () =>
      this.#parts.plugins.updateContainer(
        () => ({
          pod: pod(),
          container: container(),
          linuxResources: fromCriResources(asked),
        }),
        op,
      ),
    );
    await this.#parts.applyUpdates(outcome.updates, op);
    return outcome.resources ? toLimitChange(outcome.resources) : { asked };
  }

  tell(
    kind: Exclude<ContainerEvent, "StartContainer" | "RemoveContainer">,
    record: ContainerRecord,
    call: Cancellable,
  ): Promise<void> {
    return this.#tell(kind, this.#both(record), call);
  }

  /** StopContainer, once in its life, whether it was stopped or has ended by itself. */
  stopped(id: string, call: Cancellable): Promise<void> {
    const record = this.#parts.containers.get(id);
    if (!record) return Promise.resolve();
    if (this.#foundEnded) {
      this.#foundEnded.add(id);
      return Promise.resolve();
    }
    return this.#once(this.#parts.liveContainers.of(id), "stopped", call, (own) =>
      this.#stop(record, own),
    );
  }

  /** RemoveContainer, once in its life, and StopContainer before it where that has not been told. */
  async removed(id: string, call: Cancellable): Promise<void> {
    const record = this.#parts.containers.get(id);
    if (!record) return;
    await this.stopped(id, call);
    await this.#once(this.#parts.liveContainers.of(id), "removed", call, (own) =>
      this.#tell("RemoveContainer", this.#both(record), own),
    );
  }

  /** A step of a container's start: its error names the plugins that asked for what it is about. */
  async naming<T>({ id, changes = [] }: ContainerRecord, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      throw naming(error, changes, specIn(this.#parts.liveContainers.get(id)?.container));
    }
  }

  /** For one whose making has failed after plugins were asked about it. */
  async unmade(
    pod: () => PodSandboxInit,
    container: () => ContainerInit,
    call: Cancellable,
  ): Promise<void> {
    await this.#stopAs(pod, container, call);
    await this.#tell("RemoveContainer", { pod, container }, call);
  }

  /** The message of a pod as it is now, for when somebody wants it. */
  pod(record: SandboxRecord): () => PodSandboxInit {
    const handle = this.#parts.liveSandboxes.get(record.id)?.container;
    return () => podMessage(record, specIn(handle));
  }

  /** Likewise of a container. */
  container(record: ContainerRecord): () => ContainerInit {
    const handle = this.#parts.liveContainers.get(record.id)?.container;
    return () => containerMessage(record, specIn(handle));
  }

  #both(record: ContainerRecord): { pod: () => PodSandboxInit; container: () => ContainerInit } {
    const { sandboxId } = record;
    const sandbox = this.#parts.sandboxes.get(sandboxId);
    const pod = sandbox ? this.pod(sandbox) : () => ({ id: sandboxId });
    return { pod, container: this.container(record) };
  }

  #stop(record: ContainerRecord, call: Cancellable): Promise<void> {
    const { pod, container } = this.#both(record);
    return this.#stopAs(pod, container, call);
  }

  async #stopAs(
    pod: () => PodSandboxInit,
    container: () => ContainerInit,
    call: Cancellable,
  ): Promise<void> {
    const { applyUpdates, log, plugins } = this.#parts;
    try {
      const request = () => ({ pod: pod(), container: container() });
      await applyUpdates(await plugins.stopContainer(request, call), call);
    } catch (error) {
      log.warn({ err: error }, "plugins could not be told: StopContainer");
    }
  }

  async #tell(
    kind: ToldEvent,
    about: { readonly pod: () => PodSandboxInit; readonly container?: () => ContainerInit },
    call: Cancellable,
  ): Promise<void> {
    try {
      await this.#parts.plugins.tell({ kind, ...about }, call);
    } catch (error) {
      this.#parts.log.warn({ err: error }, `plugins could not be told: ${kind}`);
    }
  }

  /** Under the daemon's life and no request's: who comes second, or goes on without waiting, relies on it. */
  #once(
    live: LiveTask,
    step: "stopped" | "removed",
    call: Cancellable,
    tell: (own: Cancellable) => Promise<void>,
  ): Promise<void> {
    const told = live.toldOnce(step, () => tell({ signal: this.#parts.lifetime }));
    return unlessAborted(told, call.signal);
  }

  #asked<T>(op: Operation, ask: () => Promise<T>): Promise<T> {
    return this.active ? op.run("nri", ask) : ask();
  }
}

function specIn(handle: LiveTask["container"]): OciSpec | undefined {
  return (specOf(handle?.record.spec) ?? undefined) as OciSpec | undefined;
}
