// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import path from "node:path";
import type { ContainerdPrograms } from "../containerd.ts";
import { type GoToolName, toolOrReason } from "../go-tools.ts";
import { rememberTraces } from "../kubelet/kubelet-traces.ts";
import { findProgram, lacking, podPrograms } from "../lacking.ts";
import { disposeOnSignal } from "../last-resort.ts";
import { run } from "../run.ts";
import { scratch } from "../scratch.ts";
import { until } from "../until.ts";
import { type Box, openBox } from "./box.ts";
import { ClusterClient, conditionOf, patience } from "./client.ts";
import { apiPort, type ControlPlane, startControlPlane } from "./control-plane.ts";
import { type Credentials, makeCredentials } from "./credentials.ts";
import { clusterDns, dnsAnswers } from "./dns.ts";
import { type ClusterImages, type ImageSource, startImageSource } from "./image-source.ts";
import { type ClusterNode, startNode } from "./node.ts";
import { endNode } from "./node-leaks.ts";
import { appointUndertaker } from "./undertaker.ts";
import { type Addresses, hostLinkOf, wire } from "./wiring.ts";

/** Kubernetes on this machine: a control plane and nodes, each in a box. */
export interface Cluster extends AsyncDisposable {
  /** For the test's own files. */
  readonly folder: string;
  readonly addresses: Addresses;
  readonly controlPlane: ControlPlane;
  readonly registry: ImageSource;
  readonly images: ClusterImages;
  readonly nodes: readonly [ClusterNode, ClusterNode];
  readonly client: ClusterClient;
  readonly credentials: Credentials;
  /** The end of a suite: ends all, and fails when pods have left anything on a node. */
  finish(): Promise<void>;
}

const goPrograms = [
  "kubelet",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kube-proxy",
  "coredns",
  "agnhost",
] as const satisfies readonly GoToolName[];

export type ClusterPrograms = Readonly<Record<(typeof goPrograms)[number], string>>;

/** What a cluster is made of, or the reason to skip. Builds what is not built. */
export async function clusterPrograms(): Promise<ClusterPrograms | { readonly skip: string }> {
  const lack = lacking(...podPrograms, "crun", "etcd", "unshare", "nsenter", "openssl");
  if (lack !== false) return { skip: lack };
  const built: Partial<Record<GoToolName, string>> = {};
  for (const name of goPrograms) {
    const tool = await toolOrReason(name);
    if (tool.skip !== false) return { skip: tool.skip };
    built[name] = tool.path;
  }
  return built as ClusterPrograms;
}

export interface ClusterOptions {
  /** The second node's Berth has a disk of so many bytes. */
  readonly diskBytes?: number;
  /** The first node begins with this containerd. */
  readonly containerd?: ContainerdPrograms;
}

export async function openCluster(
  programs: ClusterPrograms,
  options: ClusterOptions,
): Promise<Cluster> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "cluster", space: false }));
  const names = ["node-a", "node-b"] as const;
  const cgroupRoots = names.map((name) => `/berth-cluster-${home.tag}-${name}`);
  const hostLink = hostLinkOf(home.tag);
  undo.use(await appointUndertaker({ folder: home.path, cgroupRoots, hostLink }));
  for (const cgroupRoot of cgroupRoots) {
    undo.use(await rememberTraces({ folder: home.path, cgroupRoot }));
  }
  const box = async (name: string): Promise<Box> =>
    undo.use(await openBox(name, path.join(home.path, name)));
  const controlBox = await box("control-plane");
  const nodeBoxes = [await box(names[0]), await box(names[1])];
  undo.defer(async () => void (await run("ip", ["link", "delete", hostLink])));
  const addresses = await wire(home.tag, { controlPlane: controlBox, nodes: nodeBoxes });
  const server = `https://${addresses.controlPlane}:${apiPort}`;
  const credentials = await makeCredentials(await home.folder("pki"), server);
  const controlFolder = path.join(home.path, controlBox.name);
  const [registry, controlPlane] = await Promise.all([
    startImageSource(controlBox, {
      folder: path.join(controlFolder, "registry"),
      address: addresses.controlPlane,
      coredns: programs.coredns,
      agnhost: programs.agnhost,
    }).then((one) => undo.use(one)),
    startControlPlane(
      {
        etcd: findProgram("etcd") ?? "",
        apiServer: programs["kube-apiserver"],
        controllerManager: programs["kube-controller-manager"],
        scheduler: programs["kube-scheduler"],
      },
      { box: controlBox, folder: controlFolder, addresses, credentials },
    ).then((one) => undo.use(one)),
  ]);
  const nodes = await Promise.all(
    nodeBoxes.map(async (nodeBox, index) =>
      undo.use(
        await startNode(
          { kubelet: programs.kubelet, proxy: programs["kube-proxy"] },
          {
            box: nodeBox,
            folder: path.join(home.path, nodeBox.name),
            address: addresses.nodes[index]!,
            podSubnet: addresses.podSubnets[index]!,
            cgroupRoot: cgroupRoots[index]!,
            credentials,
            registry: registry.host,
            ...(index === 1 && options.diskBytes ? { diskBytes: options.diskBytes } : {}),
            ...(index === 0 && options.containerd ? { containerd: options.containerd } : {}),
          },
        ),
      ),
    ),
  );
  const client = new ClusterClient(await credentials.kubeconfig("admin", "system:masters"));
  await until(
    "all nodes are ready, and take pods",
    async () => {
      const { items } = await client.core.listNode();
      // The taint of one that is not ready goes after that, and later on a busy machine.
      const ready = items.filter(
        ({ spec, status }) =>
          conditionOf(status?.conditions, "Ready") === "True" && (spec?.taints ?? []).length === 0,
      );
      return ready.length === names.length;
    },
    patience,
  );
  await client.create(...clusterDns(registry.images.dns));
  await dnsAnswers(client, nodeBoxes);
  const owned = undo.move();
  owned.use(disposeOnSignal(owned));
  const finish = async (): Promise<void> => {
    try {
      const left = await Promise.all(nodes.map(endNode));
      assert.deepEqual(left.flat(), [], "left behind");
    } finally {
      await owned.disposeAsync();
    }
  };
  return {
    folder: await home.folder("files"),
    addresses,
    controlPlane,
    registry,
    images: registry.images,
    nodes: nodes as unknown as readonly [ClusterNode, ClusterNode],
    client,
    credentials,
    finish,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
