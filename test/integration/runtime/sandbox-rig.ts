// SPDX-License-Identifier: Apache-2.0
// A SandboxRuntime beside a Rig's TaskManager: sandbox processes, and containers that join their pods' shims.
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { silentLogger } from "../../../src/base/logger.ts";
import { removeFolderSync } from "../../../src/base/remove-folder.ts";
import { layoutOf } from "../../../src/config/layout.ts";
import { sandboxRuntimeName } from "../../../src/oci/sandbox-runtime-name.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";
import { preparePauseRootfs } from "../../../src/pause/pause-rootfs.ts";
import type { CreateOptions } from "../../../src/runtime/ports.ts";
import { Runtimes } from "../../../src/runtime/runtimes.ts";
import { SandboxRuntime } from "../../../src/runtime/sandbox/sandbox-runtime.ts";
import { ShimBinaries } from "../../../src/runtime/shim/binary.ts";
import { ScopeUnits } from "../../../src/runtime/systemd/scope-units.ts";
import { Rig } from "./rig.ts";

export class SandboxRig implements AsyncDisposable {
  readonly rig: Rig;
  readonly folder: string;
  readonly rootfs: string;
  runtime: Runtimes;

  private constructor(rig: Rig, folder: string, rootfs: string) {
    this.rig = rig;
    this.folder = folder;
    this.rootfs = rootfs;
    this.runtime = this.#newRuntime();
  }

  static async make(shim: string): Promise<SandboxRig> {
    const rig = await Rig.make(shim);
    const folder = await mkdtemp(path.join(tmpdir(), "berth-sandbox "));
    const prepared = await preparePauseRootfs({ binary: pauseBinaryPath(), folder });
    return new SandboxRig(rig, folder, prepared.path);
  }

  /** Lets go of all, as a daemon's end does, and makes the next ones. */
  async restart(): Promise<Runtimes> {
    await this.runtime[Symbol.asyncDispose]();
    await this.rig.restart();
    this.runtime = this.#newRuntime();
    return this.runtime;
  }

  /** Options of a sandbox process; `change` edits its spec. */
  options(id: string, change: (spec: SandboxSpec) => void = () => {}): CreateOptions {
    const spec = specOf(id, this.rootfs);
    change(spec);
    return this.rig.options([], {
      id,
      spec: Buffer.from(JSON.stringify(spec)),
      rootfs: [],
      runtime: sandboxRuntimeName,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const task of this.runtime.list()) {
      const call = { signal: AbortSignal.timeout(60_000) };
      await task.kill({ execId: "", signal: 9, all: true }, call).catch(() => {});
      await task.wait("", call).catch(() => {});
      await task.delete("", call).catch(() => {});
    }
    await this.runtime[Symbol.asyncDispose]();
    await this.rig[Symbol.asyncDispose]();
    removeFolderSync(this.folder);
  }

  #newRuntime(): Runtimes {
    const { manager, folder, state, sink } = this.rig;
    const { bundles, work } = layoutOf({ root: path.join(folder, "root"), state });
    const sandboxes = new SandboxRuntime({
      bundles,
      work,
      program: pauseBinaryPath(),
      binaries: new ShimBinaries(),
      shimLaunch: () => "auto",
      parents: manager.parents,
      pods: manager.pods,
      scopes: new ScopeUnits(),
      sink,
      log: silentLogger,
    });
    return new Runtimes(manager, sandboxes);
  }
}

export type SandboxSpec = ReturnType<typeof specOf>;

function specOf(id: string, rootfs: string) {
  return {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 65_535, gid: 65_535, additionalGids: [7, 65_535] },
      args: ["/pause"],
      env: [] as string[],
      cwd: "/",
      capabilities: { bounding: [] as string[] },
      noNewPrivileges: true,
      oomScoreAdj: -998, // below what a daemon without CAP_SYS_RESOURCE may set
    },
    root: { path: rootfs, readonly: true },
    hostname: "rig",
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
    linux: {
      cgroupsPath: `/berth-rt-${process.pid}/${id}`,
      resources: { cpu: { shares: 2 } },
      sysctl: { "kernel.msgmax": "12345" } as Record<string, string>,
      namespaces: ["pid", "ipc", "uts", "mount"].map((type) => ({ type })) as {
        type: string;
        path?: string;
      }[],
    },
  };
}
