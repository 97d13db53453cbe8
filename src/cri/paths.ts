// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { SandboxFiles } from "./oci-spec/ports.ts";

/** Where the CRI façade keeps files: durable ones below `root`, volatile ones below `state`. */
export class CriPaths {
  readonly #root: string;
  readonly #state: string;

  constructor(config: { readonly root: string; readonly state: string }) {
    this.#root = path.resolve(config.root, "io.berth.cri");
    this.#state = path.resolve(config.state, "io.berth.cri");
  }

  /** Folder of all sandboxes' folders, durable and volatile. */
  get sandboxes(): readonly [durable: string, volatile: string] {
    return [path.join(this.#root, "sandboxes"), path.join(this.#state, "sandboxes")];
  }

  /** Folder of all containers' folders. */
  get containers(): string {
    return path.join(this.#root, "containers");
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
