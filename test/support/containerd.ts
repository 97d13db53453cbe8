// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { type CniNetwork, makeCniNetwork } from "./cni.ts";
import { connectPeer } from "./grpc-peer.ts";
import { cniBinFolder } from "./lacking.ts";
import { disposeOnSignal } from "./last-resort.ts";
import { sweep, type Territory } from "./leaks.ts";
import { Cri } from "./pods.ts";
import { endChild } from "./registry.ts";
import { scratch } from "./scratch.ts";
import { GivenUp, until } from "./until.ts";

/** Which containerd, and what it runs pods with; by default what is on PATH. */
export interface ContainerdPrograms {
  readonly daemon?: string;
  readonly shim?: string;
  /** Name or path of the OCI runtime; the shim's own default is runc. */
  readonly ociRuntime?: string;
}

/** Another CRI runtime, started for comparison: containerd with nothing but its CRI. */
export interface Containerd extends AsyncDisposable {
  readonly pid: number;
  readonly socket: string;
  readonly cri: Cri;
  readonly territory: Territory;
  log(): Promise<string>;
  /** Kills it with SIGKILL; pods run on. */
  kill9(): Promise<void>;
  /** Starts it again on the same folders; until it serves. */
  start(): Promise<void>;
}

/** What a kubelet waits for. containerd 2 has a third one, of deprecated settings, which ours here are. */
const needed = ["RuntimeReady", "NetworkReady"] as const;

/** Starts it on roots of its own; `sandboxImage` is pulled from its registry on first use. */
export async function startContainerd(
  sandboxImage: string,
  programs: ContainerdPrograms = {},
): Promise<Containerd> {
  await using undo = new AsyncDisposableStack();
  // containerd's overlay options break on a space in a path; ours must not.
  const home = undo.use(await scratch({ prefix: "ct", space: false }));
  const network = undo.use(await makeCniNetwork(path.join(home.path, "cni"), home.tag));
  const socket = path.join(home.path, "containerd.sock");
  const territory: Territory = {
    folder: home.path,
    socket,
    state: path.join(home.path, "state"),
    cgroupParent: `/berth-peer-${home.tag}`,
    network,
    sandboxes: new Set<string>(),
  };
  const config = `${configOf(home.path, network, sandboxImage)}${runtimeOf(programs)}`;
  await writeFile(path.join(home.path, "config.toml"), config);
  const logFile = path.join(home.path, "containerd.log");
  let child: ChildProcess | undefined;
  undo.defer(() => sweep(territory));
  undo.defer(async () => {
    if (child) await endChild(child);
  });
  const peer = undo.use(connectPeer(socket));
  const cri = new Cri(peer, {
    logRoot: path.join(home.path, "logs"),
    cgroupParent: territory.cgroupParent,
  });
  const start = async (): Promise<void> => {
    const log = openSync(logFile, "a");
    const argv = ["--config", path.join(home.path, "config.toml")];
    const started = spawn(programs.daemon ?? "containerd", argv, { stdio: ["ignore", log, log] });
    closeSync(log);
    child = started;
    await until(
      "containerd is ready",
      async () => {
        if (started.exitCode !== null) throw new GivenUp(await readFile(logFile, "utf8"));
        const { status } = await cri.runtime.Status({});
        const holding = status?.conditions.filter((condition) => condition.status);
        return needed.every((type) => holding?.some((condition) => condition.type === type));
      },
      { timeoutMs: 120_000 },
    );
  };
  await start();
  undo.defer(() => cri.removeAllPods());
  const owned = undo.move();
  owned.use(disposeOnSignal(owned));
  return {
    get pid() {
      return child!.pid!;
    },
    socket,
    cri,
    territory: { ...territory, sandboxes: cri.seen },
    log: () => readFile(logFile, "utf8"),
    kill9: async () => {
      const gone = once(child!, "exit");
      child!.kill("SIGKILL");
      await gone;
    },
    start,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function configOf(folder: string, network: CniNetwork, sandboxImage: string): string {
  return `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "${folder}/containerd.sock"
[ttrpc]
address = "${folder}/containerd.sock.ttrpc"
[plugins."io.containerd.nri.v1.nri"]
socket_path = "${folder}/nri.sock"
plugin_path = "${folder}/nri/plugins"
plugin_config_path = "${folder}/nri/conf.d"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${sandboxImage}"
systemd_cgroup = false
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "${folder}/certs.d"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "${cniBinFolder()}"
conf_dir = "${network.confDir}"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
snapshotter = "overlayfs"
`;
}

/** How pods are run. Version 2 of the configuration, which later ones take as well. */
function runtimeOf({ ociRuntime, shim }: ContainerdPrograms): string {
  const lines = [
    `[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]`,
    `runtime_type = "io.containerd.runc.v2"`,
  ];
  if (shim !== undefined) lines.push(`runtime_path = "${shim}"`);
  if (ociRuntime !== undefined) {
    lines.push(
      `[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]`,
      `BinaryName = "${ociRuntime}"`,
    );
  }
  return `${lines.join("\n")}\n`;
}
