// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { rememberTraces } from "../kubelet/kubelet-traces.ts";
import { findProgram } from "../lacking.ts";
import { disposeOnSignal } from "../last-resort.ts";
import { run } from "../run.ts";
import { scratch } from "../scratch.ts";
import { until } from "../until.ts";
import { openBox } from "./box.ts";
import { ClusterClient, conditionOf, patience } from "./client.ts";
import type { ClusterPrograms } from "./cluster.ts";
import { apiPort, startControlPlane } from "./control-plane.ts";
import { makeCredentials } from "./credentials.ts";
import { type ClusterImages, startImageSource } from "./image-source.ts";
import { type KubeadmNode, type KubeadmSettings, startKubeadmNode } from "./kubeadm-node.ts";
import { openSystemdBox } from "./systemd-box.ts";
import { appointUndertaker } from "./undertaker.ts";
import { hostLinkOf, wire } from "./wiring.ts";

/** A cluster with one node, which systemd runs, and containerd on it. */
export interface KubeadmCluster extends AsyncDisposable {
  readonly client: ClusterClient;
  readonly images: ClusterImages;
  readonly node: KubeadmNode;
}

export async function openKubeadmCluster(
  programs: ClusterPrograms,
  containerd: KubeadmSettings["containerd"],
): Promise<KubeadmCluster> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "cluster", space: false }));
  const name = "node-a";
  const cgroupRoot = `/berth-cluster-${home.tag}-${name}`;
  const hostLink = hostLinkOf(home.tag);
  undo.use(await appointUndertaker({ folder: home.path, cgroupRoots: [cgroupRoot], hostLink }));
  undo.use(await rememberTraces({ folder: home.path, cgroupRoot }));
  const controlFolder = path.join(home.path, "control-plane");
  const controlBox = undo.use(await openBox("control-plane", controlFolder));
  const nodeFolder = path.join(home.path, name);
  const box = undo.use(await openSystemdBox(name, nodeFolder, cgroupRoot));
  undo.defer(async () => void (await run("ip", ["link", "delete", hostLink])));
  const addresses = await wire(home.tag, { controlPlane: controlBox, nodes: [box] });
  const server = `https://${addresses.controlPlane}:${apiPort}`;
  const credentials = await makeCredentials(await home.folder("pki"), server);
  const registry = undo.use(
    await startImageSource(controlBox, {
      folder: path.join(controlFolder, "registry"),
      address: addresses.controlPlane,
      coredns: programs.coredns,
      agnhost: programs.agnhost,
    }),
  );
  undo.use(
    await startControlPlane(
      {
        etcd: findProgram("etcd") ?? "",
        apiServer: programs["kube-apiserver"],
        controllerManager: programs["kube-controller-manager"],
        scheduler: programs["kube-scheduler"],
      },
      { box: controlBox, folder: controlFolder, addresses, credentials },
    ),
  );
  const admin = await credentials.kubeconfig("admin", "system:masters");
  const node = await startKubeadmNode(
    box,
    {
      box,
      folder: nodeFolder,
      address: addresses.nodes[0]!,
      podSubnet: addresses.podSubnets[0]!,
      cgroupRoot,
      credentials,
      registry: registry.host,
      kubelet: programs.kubelet,
      containerd,
    },
    admin,
  );
  const client = new ClusterClient(admin);
  await until(
    "the node is ready, and takes pods",
    async () => {
      const { spec, status } = await client.core.readNode({ name });
      return conditionOf(status?.conditions, "Ready") === "True" && !spec?.taints?.length;
    },
    patience,
  );
  const owned = undo.move();
  owned.use(disposeOnSignal(owned));
  return {
    client,
    images: registry.images,
    node,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
