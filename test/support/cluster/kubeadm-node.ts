// SPDX-License-Identifier: Apache-2.0
import { chmod, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { stringify } from "yaml";
import type { ContainerdPrograms } from "../containerd.ts";
import { until } from "../until.ts";
import type { Box } from "./box.ts";
import { patience } from "./client.ts";
import { listens } from "./control-plane.ts";
import { type NodeSettings, writeBerthConfig, writeKubeletAndProxyConfig } from "./node.ts";
import { containerdSocket, writeContainerdConfig } from "./other-runtime.ts";

/** A node as kubeadm leaves it, in a box with systemd: kubelet and containerd as services, and berthd installed beside. */
export interface KubeadmNode {
  readonly box: Box;
  /** A file of the node. */
  readonly read: (file: string) => Promise<string>;
  /** `active enabled`, and so on. */
  readonly unit: (name: string) => Promise<string>;
}

export interface KubeadmSettings extends NodeSettings {
  readonly kubelet: string;
  readonly containerd: Required<Pick<ContainerdPrograms, "daemon" | "shim">>;
}

const project = path.resolve(import.meta.dirname, "../../..");
export const kubeletYaml = "/var/lib/kubelet/config.yaml";
export const instanceYaml = "/var/lib/kubelet/instance-config.yaml";
export const packagedDropIn = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf";

/** What kubeadm's package has; `flags`: what it should have besides. */
export function kubeadmDropIn(kubelet: string, flags = ""): string {
  return `[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=${kubeletYaml}"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=${kubelet} $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS${flags}
`;
}

export async function startKubeadmNode(
  box: Box,
  settings: KubeadmSettings,
  admin: string,
): Promise<KubeadmNode> {
  const { address, credentials, kubelet, containerd } = settings;
  const folder = path.join(settings.folder, "made");
  await mkdir(folder, { recursive: true });
  const write = async (file: string, text: string): Promise<void> => {
    await mkdir(path.dirname(box.seen(file)), { recursive: true });
    await writeFile(box.seen(file), text);
  };
  await write(
    "/etc/berthd/config.toml",
    await readFile(await writeBerthConfig(folder, settings), "utf8"),
  );
  await write(
    "/etc/containerd/config.toml",
    await readFile(await writeContainerdConfig(folder, settings), "utf8"),
  );
  const made = await writeKubeletAndProxyConfig(folder, settings);
  const { cgroupRoot: _, ...own } = JSON.parse(await readFile(made.kubelet, "utf8")) as {
    cgroupRoot: string;
  };
  const kind = { apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration" };
  const endpoint = `unix://${containerdSocket}`;
  await write(kubeletYaml, stringify({ ...own, containerRuntimeEndpoint: endpoint }));
  await write(instanceYaml, stringify({ ...kind, containerRuntimeEndpoint: endpoint }));
  await write(
    "/var/lib/kubelet/kubeadm-flags.env",
    `KUBELET_KUBEADM_ARGS="--hostname-override=${box.name} --node-ip=${address}"\n`,
  );
  const kubeconfig = await credentials.kubeconfig(`system:node:${box.name}`, "system:nodes");
  await write("/etc/kubernetes/kubelet.conf", await readFile(kubeconfig, "utf8"));
  await write("/etc/kubernetes/admin.conf", await readFile(admin, "utf8"));
  await chmod(box.seen("/etc/kubernetes/admin.conf"), 0o600);
  await write(packagedDropIn, kubeadmDropIn(kubelet));
  await write("/usr/lib/systemd/system/kubelet.service", kubeletUnit(kubelet));
  await write("/usr/lib/systemd/system/containerd.service", containerdUnit(containerd.daemon));
  const unit = "/etc/systemd/system/berthd.service";
  await copyFile(path.join(project, "deploy/systemd/berthd.service"), box.seen(unit));
  const deployed = await readFile(box.seen(unit), "utf8");
  // The checkout's path may have a space.
  await write(unit, deployed.replaceAll("/opt/berth/bin/berthd", `"${project}/bin/berthd"`));
  await box.must("systemctl", ["daemon-reload"]);
  await box.must("systemctl", ["enable", "--now", "containerd", "berthd", "kubelet"], {
    timeoutMs: 120_000,
  });
  await until("the kubelet listens", () => listens(box, 10250), patience);
  return {
    box,
    read: (file) => readFile(box.seen(file), "utf8"),
    unit: async (name) => {
      const ask = `systemctl is-active ${name}; systemctl is-enabled ${name}`;
      return (await box.must("sh", ["-c", `${ask} || true`])).trim().replace("\n", " ");
    },
  };
}

const kubeletUnit = (kubelet: string): string => `[Unit]
Description=kubelet
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=${kubelet}
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
`;

const containerdUnit = (daemon: string): string => `[Unit]
Description=containerd
After=network.target local-fs.target

[Service]
ExecStart=${daemon}
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
TasksMax=infinity

[Install]
WantedBy=multi-user.target
`;
