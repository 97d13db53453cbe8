// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { stringify } from "smol-toml";
import { parse } from "yaml";
import { conflist } from "../cni.ts";
import type { ContainerdPrograms } from "../containerd.ts";
import { crunHere } from "../crun-here.ts";
import type { GrpcPeer } from "../grpc-peer.ts";
import { makeCgroupRoot } from "../kubelet/kubelet-traces.ts";
import { machineSettings } from "../kubelet/machine-settings.ts";
import { cniBinFolder } from "../lacking.ts";
import { sandboxMode } from "../sandbox-mode.ts";
import { startBerthd } from "./berthd.ts";
import type { Box } from "./box.ts";
import { listens } from "./control-plane.ts";
import type { Credentials } from "./credentials.ts";
import { registryName } from "./image-source.ts";
import { containerdSocket, startContainerd, writeContainerdConfig } from "./other-runtime.ts";
import { type Service, startService } from "./service.ts";
import { dnsAddress, podNetwork } from "./wiring.ts";

/** A node: Berth, a kubelet and a kube-proxy in one box, each at the places where they are by default. */
export interface ClusterNode extends AsyncDisposable {
  readonly name: string;
  readonly address: string;
  readonly box: Box;
  readonly berthd: Service;
  readonly kubelet: Service;
  /** Restarts the kubelet with these settings over those of its file; disposing it, with its own again. */
  withKubelet(settings: object): Promise<AsyncDisposable>;
  readonly proxy: Service;
  /** What the kubelet uses at first, where that is not Berth. */
  readonly containerd?: Service;
  /** Its Berth's socket. */
  readonly peer: GrpcPeer;
  /** Below each hierarchy's mount. */
  readonly cgroupRoot: string;
}

export interface NodePrograms {
  readonly kubelet: string;
  readonly proxy: string;
}

export interface NodeSettings {
  readonly box: Box;
  readonly folder: string;
  readonly address: string;
  readonly podSubnet: string;
  readonly cgroupRoot: string;
  readonly credentials: Credentials;
  /** `10.224.0.1:5000`. */
  readonly registry: string;
  /** Berth's root is a disk of its own of so many bytes. */
  readonly diskBytes?: number;
  /** The kubelet has this containerd's pods at first; Berth runs beside it. */
  readonly containerd?: ContainerdPrograms;
}

const deployedConfig = path.resolve(import.meta.dirname, "../../../deploy/kubelet-config.yaml");

export async function startNode(
  programs: NodePrograms,
  settings: NodeSettings,
): Promise<ClusterNode> {
  await using undo = new AsyncDisposableStack();
  const { box, address, cgroupRoot } = settings;
  const folder = path.join(settings.folder, "etc");
  await mkdir(folder, { recursive: true });
  await makeCgroupRoot(cgroupRoot);
  if (settings.diskBytes !== undefined) {
    await box.must("mkdir", ["/var/lib/berthd"]);
    const size = `size=${settings.diskBytes},mode=0711`;
    await box.must("mount", ["-t", "tmpfs", "-o", size, "tmpfs", "/var/lib/berthd"]);
  }
  const berthd = undo.use(
    await startBerthd(box, {
      folder: settings.folder,
      config: await writeBerthConfig(folder, settings),
    }),
  );
  const containerd =
    settings.containerd &&
    undo.use(await startContainerd(box, await writeContainerdConfig(folder, settings), settings));
  const { kubelet, proxy } = await writeKubeletAndProxyConfig(folder, settings);
  const kubeletService = undo.use(
    await startService(box, {
      name: "kubelet",
      argv: [
        programs.kubelet,
        `--config=${kubelet}`,
        `--kubeconfig=${await settings.credentials.kubeconfig(`system:node:${box.name}`, "system:nodes")}`,
        `--hostname-override=${box.name}`,
        `--node-ip=${address}`,
        "--v=2",
      ],
      folder: settings.folder,
      isUp: () => listens(box, 10250),
    }),
  );
  const proxyService = undo.use(
    await startService(box, {
      name: "kube-proxy",
      argv: [programs.proxy, `--config=${proxy}`],
      folder: settings.folder,
      isUp: () => listens(box, 10249),
    }),
  );
  const owned = undo.move();
  return {
    name: box.name,
    address,
    box,
    berthd: berthd.service,
    kubelet: kubeletService,
    withKubelet: async (changed) => {
      const own = await readFile(kubelet, "utf8");
      const restart = async (text: string): Promise<void> => {
        await kubeletService.stop();
        await writeFile(kubelet, text);
        await kubeletService.start();
      };
      await restart(JSON.stringify({ ...(JSON.parse(own) as object), ...changed }));
      return { [Symbol.asyncDispose]: () => restart(own) };
    },
    proxy: proxyService,
    ...(containerd && { containerd }),
    peer: berthd.peer,
    cgroupRoot,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function writeBerthConfig(folder: string, settings: NodeSettings): Promise<string> {
  const confDir = path.join(folder, "net.d");
  await mkdir(confDir, { recursive: true });
  const network = conflist({
    name: "berth-cluster",
    bridge: "cni0",
    subnet: settings.podSubnet,
    dataDir: "/var/lib/cni",
    ipMasq: false,
  });
  await writeFile(path.join(confDir, "10-cluster.conflist"), JSON.stringify(network));
  const certs = path.join(folder, "certs.d", registryName);
  await mkdir(certs, { recursive: true });
  const server = `http://${settings.registry}`;
  await writeFile(
    path.join(certs, "hosts.toml"),
    `server = "${server}"\n\n[host."${server}"]\ncapabilities = ["pull", "resolve"]\n`,
  );
  const file = path.join(folder, "berthd.toml");
  await writeFile(
    file,
    stringify({
      runtime: {
        default_handler: "runc",
        handlers: { crun: { binary_name: await crunHere(folder) } },
      },
      cni: { conf_dir: confDir, bin_dirs: [cniBinFolder()] },
      registry: { config_path: path.join(folder, "certs.d") },
      cri: { sandbox: sandboxMode },
      log: { level: "debug", format: "json" },
    }),
  );
  return file;
}

export async function writeKubeletAndProxyConfig(
  folder: string,
  { box, address, cgroupRoot, credentials, containerd, diskBytes }: NodeSettings,
): Promise<{ readonly kubelet: string; readonly proxy: string }> {
  const serving = await credentials.server(`kubelet-${box.name}`, [`IP:${address}`]);
  const resolvConf = path.join(folder, "resolv.conf");
  await writeFile(resolvConf, "search example.test\n");
  const kubelet = path.join(folder, "kubelet.json");
  const settings = await machineSettings();
  const deployed = parse(await readFile(deployedConfig, "utf8")) as object;
  await writeFile(
    kubelet,
    JSON.stringify({
      ...deployed,
      authentication: {
        anonymous: { enabled: false },
        webhook: { enabled: true },
        x509: { clientCAFile: credentials.ca.certFile },
      },
      authorization: { mode: "Webhook" },
      tlsCertFile: serving.certFile,
      tlsPrivateKeyFile: serving.keyFile,
      clusterDNS: [dnsAddress],
      clusterDomain: "cluster.local",
      resolvConf,
      ...settings,
      // That of Berth's root may decide, where it is not the machine's.
      evictionHard: {
        ...settings.evictionHard,
        ...(diskBytes !== undefined && { "imagefs.available": "5%" }),
      },
      cgroupRoot,
      ...(containerd && { containerRuntimeEndpoint: `unix://${containerdSocket}` }),
      evictionPressureTransitionPeriod: "5s",
      // Quicker than in production: a test waits for these.
      syncFrequency: "5s",
      nodeStatusUpdateFrequency: "4s",
      configMapAndSecretChangeDetectionStrategy: "Watch",
      shutdownGracePeriod: "0s",
    }),
  );
  const proxy = path.join(folder, "kube-proxy.json");
  await writeFile(
    proxy,
    JSON.stringify({
      apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
      kind: "KubeProxyConfiguration",
      clientConnection: { kubeconfig: await credentials.kubeconfig("system:kube-proxy") },
      mode: "iptables",
      clusterCIDR: podNetwork,
      hostnameOverride: box.name,
      oomScoreAdj: Number(await readFile("/proc/self/oom_score_adj", "utf8")),
      // These are the machine's, not the box's.
      conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    }),
  );
  return { kubelet, proxy };
}
