// SPDX-License-Identifier: Apache-2.0
import type {
  Container,
  ContainerAdjustment,
  ContainerInit,
  ContainerUpdate,
  LinuxResources,
  OwningPlugins,
  PodSandbox,
  PodSandboxInit,
} from "../../../src/nri/messages.ts";
import type {
  Creation,
  MissingPlugin,
  NodePlugins,
  UpdateOutcome,
} from "../../../src/nri/ports.ts";
import { codec } from "../../../src/rpc/codec.ts";

/** A message as its receiver has it: it has been on the wire. */
function sent(pod: PodSandboxInit): PodSandbox {
  const wire = codec("nri.pkg.api.v1alpha1.PodSandbox");
  return wire.decode(wire.encode(pod));
}

function sentContainer(container: ContainerInit): Container {
  const wire = codec("nri.pkg.api.v1alpha1.Container");
  return wire.decode(wire.encode(container));
}

/** What the plugins of a node were asked and told, in order; and what they answer. */
export class FakePlugins implements NodePlugins {
  active = true;
  /** "CreateContainer", "PostCreateContainer", … */
  readonly calls: string[] = [];
  readonly pods: PodSandbox[] = [];
  readonly containers: Container[] = [];
  readonly asked: LinuxResources[] = [];
  /** How many containers and pods count as existing without being shown. */
  pending = 0;
  /** Calls that fail, by their names. */
  readonly failing = new Set<string>();
  adjust: ContainerAdjustment | undefined;
  owners: ((id: string) => OwningPlugins) | undefined;
  updates: readonly ContainerUpdate[] = [];
  resources: LinuxResources | undefined;

  missing(): readonly MissingPlugin[] {
    return [];
  }

  async createContainer(
    ...[request]: Parameters<NodePlugins["createContainer"]>
  ): Promise<Creation> {
    const { pod, container } = request();
    this.#called("CreateContainer", pod, container);
    return {
      adjust: this.adjust,
      updates: this.updates,
      owners: this.owners?.(container?.id ?? ""),
      ...this.#hold(),
    };
  }

  async runPodSandbox(...[pod]: Parameters<NodePlugins["runPodSandbox"]>): Promise<Disposable> {
    this.#called("RunPodSandbox", pod());
    return this.#hold();
  }

  async updateContainer(
    ...[request]: Parameters<NodePlugins["updateContainer"]>
  ): Promise<UpdateOutcome> {
    const { pod, container, linuxResources } = request();
    const wire = codec("nri.pkg.api.v1alpha1.LinuxResources");
    this.asked.push(wire.decode(wire.encode(linuxResources ?? {})));
    this.#called("UpdateContainer", pod, container);
    return { resources: this.resources, updates: this.updates };
  }

  async updatePodSandbox(...[request]: Parameters<NodePlugins["updatePodSandbox"]>): Promise<void> {
    this.#called("UpdatePodSandbox", request().pod);
  }

  async stopContainer(
    ...[request]: Parameters<NodePlugins["stopContainer"]>
  ): Promise<readonly ContainerUpdate[]> {
    const { pod, container } = request();
    this.#called("StopContainer", pod, container);
    return [];
  }

  async tell(...[{ kind, pod, container }]: Parameters<NodePlugins["tell"]>): Promise<void> {
    this.#called(kind, pod(), container?.());
  }

  list(): readonly [] {
    return [];
  }

  #called(
    call: string,
    pod: PodSandboxInit | null | undefined,
    container?: ContainerInit | null,
  ): void {
    this.calls.push(call);
    if (pod) this.pods.push(sent(pod));
    if (container) this.containers.push(sentContainer(container));
    if (this.failing.has(call)) throw new Error(`${call} is refused`);
  }

  #hold(): Disposable {
    this.pending += 1;
    return {
      [Symbol.dispose]: () => {
        this.pending -= 1;
      },
    };
  }
}
