// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { layoutOf } from "../config/layout.ts";
import type { SandboxFiles } from "./oci-spec/ports.ts";

/** Where the CRI façade keeps files: durable ones below `root`, volatile ones below `state`. All but `fifos`
 * and `netns` are its own. */
export class CriPaths {
  readonly #durable: string;
  readonly #volatile: string;
  /** Folder of the FIFOs of processes, a folder each. */
  readonly fifos: string;
  /** Folder of pinned network namespaces, a file each. */
  readonly netns: string;

  constructor(config: { readonly root: string; readonly state: string }) {
    const layout = layoutOf(config);
    this.#durable = layout.criDurable;
    this.#volatile = layout.criVolatile;
    this.fifos = layout.fifos;
    this.netns = layout.netns;
  }

  /** Folder of all sandboxes' folders, durable and volatile. */
  get sandboxes(): readonly [durable: string, volatile: string] {
    return [path.join(this.#durable, "sandboxes"), path.join(this.#volatile, "sandboxes")];
  }

  /** Folder of all containers' folders. */
  get containers(): string {
    return path.join(this.#durable, "containers");
  }

  sandbox(id: string): readonly [durable: string, volatile: string] {
    const [durable, volatile] = this.sandboxes;
    return [path.join(durable, id), path.join(volatile, id)];
  }

  container(id: string): string {
    return path.join(this.containers, id);
  }

  volumes(containerId: string): string {
    return path.join(this.container(containerId), "volumes");
  }

  /** Where a container's checkpoint is unpacked that it is restored from. */
  restore(containerId: string): string {
    return path.join(this.container(containerId), "restore");
  }

  /** Folder of the notes on pods that stand still for a checkpoint. */
  get checkpoints(): string {
    return path.join(this.#durable, "checkpoints");
  }

  /** Folder where checkpoints of pods are unpacked. */
  get restores(): string {
    return path.join(this.#durable, "restores");
  }

  /** Where a sandbox's image volumes are mounted: below its volatile folder, which is unmounted whole. */
  imageVolumes(sandboxId: string): string {
    const [, volatile] = this.sandbox(sandboxId);
    return path.join(volatile, "image-volumes");
  }

  sandboxFiles(id: string): SandboxFiles {
    const [durable, volatile] = this.sandbox(id);
    return {
      hostname: path.join(durable, "hostname"),
      hosts: path.join(durable, "hosts"),
      resolvConf: path.join(durable, "resolv.conf"),
      shm: path.join(volatile, "shm"),
    };
  }
}
