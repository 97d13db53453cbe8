// SPDX-License-Identifier: Apache-2.0
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { PodSandboxConfigInit } from "../../../src/gen/cri.gen.ts";
import { connectPeer, type GrpcPeer } from "../../support/grpc-peer.ts";
import { Cri, type RunningPod } from "../../support/pods.ts";
import { must } from "../../support/run.ts";
import { until } from "../../support/until.ts";

/** How the kubelet names a pod's cgroup. */
export type CgroupDriver = "systemd" | "cgroupfs";

let counter = 0;

/** The virtual machine's berthd, as the suites use it. */
export class GuestNode implements AsyncDisposable {
  readonly cri: Cri;
  readonly driver: CgroupDriver;
  readonly #peer: GrpcPeer;

  constructor(driver: CgroupDriver = "systemd") {
    this.driver = driver;
    this.#peer = connectPeer("/run/berthd/berthd.sock");
    this.cri = new Cri(this.#peer, { logRoot: "/var/log/pods", cgroupParent: "" });
  }

  /** A reference to one of the test images. */
  image(name: "shell" | "idle" | "worker" | "failing"): string {
    return `${process.env["BERTH_VM_REGISTRY"]}/${name}:1`;
  }

  async pull(): Promise<void> {
    await this.cri.images.PullImage({ image: { image: this.image("shell") } });
  }

  /** A best-effort pod in the cgroup that a kubelet would name for it. */
  async runPod(
    change: PodSandboxConfigInit = {},
    handler = "",
  ): Promise<RunningPod & { readonly cgroup: string }> {
    counter += 1;
    const uid = `${process.pid}_${counter}`;
    const cgroup =
      this.driver === "systemd"
        ? `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${uid}.slice`
        : `/kubepods/besteffort/pod${uid}`;
    const linux = { ...change.linux, cgroupParent: cgroup };
    return { ...(await this.cri.runPod({ ...change, linux }, handler)), cgroup };
  }

  /** The process of a container as the host counts. */
  async pidOf(containerId: string): Promise<number> {
    const { info } = await this.cri.runtime.ContainerStatus({ containerId, verbose: true });
    return (JSON.parse(info["info"] ?? "{}") as { pid: number }).pid;
  }

  /** The cgroup of a container's process: a path below the v2 mount. */
  async cgroupOf(containerId: string): Promise<string> {
    const text = await readFile(`/proc/${await this.pidOf(containerId)}/cgroup`, "utf8");
    return /^0::(.*)$/m.exec(text)?.[1] ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cri.removeAllPods();
    this.#peer[Symbol.dispose]();
  }
}

/** A file of a cgroup, without the newline. */
export async function cgroupFile(cgroup: string, name: string): Promise<string> {
  return (await readFile(path.join("/sys/fs/cgroup", cgroup, name), "utf8")).trim();
}

/** What systemd holds for a unit. */
export async function unitProperties(
  unit: string,
  ...names: readonly string[]
): Promise<Record<string, string>> {
  const text = await must("systemctl", ["show", unit, ...names.map((name) => `-p${name}`)]);
  return Object.fromEntries(
    text
      .trim()
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

/** Writes a file of /etc/berthd/config.d, or empties it, and restarts the service. */
export async function reconfigure(name: string, text: string): Promise<void> {
  await writeFile(path.join("/etc/berthd/config.d", name), text);
  await must("systemctl", ["restart", "berthd"], { timeoutMs: 240_000 });
  using peer = connectPeer("/run/berthd/berthd.sock");
  const runtime = peer.client("runtime.v1.RuntimeService");
  await until("berthd serves", async () => {
    const { status } = await runtime.Status({});
    return status?.conditions.find(({ type }) => type === "RuntimeReady")?.status;
  });
}
