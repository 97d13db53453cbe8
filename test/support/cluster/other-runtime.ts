// SPDX-License-Identifier: Apache-2.0
import { writeFile } from "node:fs/promises";
import path from "node:path";
import type { ContainerdPrograms } from "../containerd.ts";
import { connectPeer } from "../grpc-peer.ts";
import { cniBinFolder } from "../lacking.ts";
import type { Box } from "./box.ts";
import { registryName } from "./image-source.ts";
import { type Service, startService } from "./service.ts";

/** A containerd at the places where it is by default. */
export const containerdSocket = "/run/containerd/containerd.sock";

/** It has the network and the registry of the node's Berth. */
export async function writeContainerdConfig(
  folder: string,
  { containerd }: { readonly containerd?: ContainerdPrograms },
): Promise<string> {
  const file = path.join(folder, "containerd.toml");
  const shim = containerd?.shim === undefined ? "" : `runtime_path = "${containerd.shim}"\n`;
  await writeFile(
    file,
    `version = 2
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.nri.v1.nri"]
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${registryName}/idle:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "${folder}/certs.d"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "${cniBinFolder()}"
conf_dir = "${folder}/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
${shim}`,
  );
  return file;
}

export async function startContainerd(
  box: Box,
  config: string,
  settings: { readonly folder: string; readonly containerd?: ContainerdPrograms },
): Promise<Service> {
  const peer = connectPeer(box.seen(containerdSocket));
  const cri = peer.client("runtime.v1.RuntimeService");
  const service = await startService(box, {
    name: "containerd",
    argv: [settings.containerd?.daemon ?? "containerd", "--config", config],
    folder: settings.folder,
    isUp: async () => {
      const { status } = await cri.Status({});
      const holding = status?.conditions.filter((one) => one.status).map(({ type }) => type);
      return ["RuntimeReady", "NetworkReady"].every((type) => holding?.includes(type));
    },
  });
  return {
    ...service,
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]();
      peer[Symbol.dispose]();
    },
  };
}
