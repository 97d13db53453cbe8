// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { stringify } from "smol-toml";
import { berthdSocket, startBerthd } from "../cluster/berthd.ts";
import { type Box, openBox } from "../cluster/box.ts";
import { listens } from "../cluster/control-plane.ts";
import { type Service, startService } from "../cluster/service.ts";
import { conflist } from "../cni.ts";
import { crunHere } from "../crun-here.ts";
import { makeCgroupRoot, rememberTraces } from "../kubelet/kubelet-traces.ts";
import { machineSettings } from "../kubelet/machine-settings.ts";
import { cniBinFolder } from "../lacking.ts";
import { scratch } from "../scratch.ts";
import { type ImagePrograms, pushE2eImages } from "./images.ts";

/** A box with a Berth, and with Kubernetes' images in a registry that stands for registry.k8s.io. */
export interface ConformanceBed extends AsyncDisposable {
  readonly box: Box;
  readonly berthd: Service;
  /** Has the suite's program and the kubelet, and takes what they write. */
  readonly folder: string;
  readonly kubeletConfig: string;
  /** Programs of this machine, without systemd's, which is not that of the box. */
  readonly path: string;
}

export interface BedPrograms extends ImagePrograms {
  readonly kubelet: string;
  readonly suite: string;
}

/** The node's. With it no name is looked up, which nobody answers in the box. */
export const nodeAddress = "10.231.0.2";
const registry = "127.0.0.1:5000";

export async function openConformanceBed(programs: BedPrograms): Promise<ConformanceBed> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "e2enode", space: false }));
  const cgroupRoot = `/berth-e2e-${home.tag}`;
  undo.use(await rememberTraces({ folder: home.path, cgroupRoot }));
  await makeCgroupRoot(cgroupRoot);
  const box = undo.use(await openBox("e2e-node", path.join(home.path, "box")));
  // The suite wants an address that is not the loopback's.
  await box.must("ip", "link add eth0 type bridge".split(" "));
  await box.must("ip", `addr add ${nodeAddress}/24 dev eth0`.split(" "));
  await box.must("ip", "link set eth0 up".split(" "));
  await box.must("ip", "route add default via 10.231.0.1".split(" "));
  const config = path.join(home.path, "registry.json");
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: "warn" },
      storage: { filesystem: { rootdirectory: path.join(home.path, "registry") } },
      http: { addr: registry, secret: "test" },
    }),
  );
  undo.use(
    await startService(box, {
      name: "registry",
      argv: ["docker-registry", "serve", config],
      folder: home.path,
      env: { OTEL_TRACES_EXPORTER: "none" },
      isUp: () => listens(box, 5000),
    }),
  );
  await pushE2eImages(box, { folder: path.join(home.path, "layouts"), host: registry, programs });
  const { service: berthd } = undo.use(
    await startBerthd(box, { folder: home.path, config: await writeConfig(home.path) }),
  );
  const folder = await home.folder("suite");
  await symlink(programs.kubelet, path.join(folder, "kubelet"));
  await symlink(programs.suite, path.join(folder, "e2e_node.test"));
  const kubeletConfig = path.join(home.path, "kubelet.json");
  const { crashLoopBackOff: _, ...settings } = (await machineSettings()) as Record<string, unknown>;
  await writeFile(
    kubeletConfig,
    JSON.stringify({
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      ...settings,
      cgroupRoot,
      containerRuntimeEndpoint: `unix://${berthdSocket}`,
      podCIDR: "10.100.0.0/24",
      fileCheckFrequency: "10s",
      // The suite waits two minutes for the node.
      nodeStatusUpdateFrequency: "2s",
      serializeImagePulls: false,
      volumeStatsAggPeriod: "10s",
      evictionPressureTransitionPeriod: "30s",
    }),
  );
  const owned = undo.move();
  return {
    box,
    berthd,
    folder,
    kubeletConfig,
    path: await pathWithoutSystemd(await home.folder("bin")),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function writeConfig(folder: string): Promise<string> {
  const confDir = path.join(folder, "net.d");
  await mkdir(confDir);
  const network = conflist({
    name: "berth-e2e",
    bridge: "cni0",
    subnet: "10.100.0.0/24",
    dataDir: "/var/lib/cni",
    ipMasq: false,
  });
  await writeFile(path.join(confDir, "10-e2e.conflist"), JSON.stringify(network));
  const certs = path.join(folder, "certs.d", "registry.k8s.io");
  await mkdir(certs, { recursive: true });
  await writeFile(
    path.join(certs, "hosts.toml"),
    `server = "http://${registry}"\n\n[host."http://${registry}"]\ncapabilities = ["pull", "resolve"]\n`,
  );
  const file = path.join(folder, "berthd.toml");
  await writeFile(
    file,
    stringify({
      runtime: {
        default_handler: "runc",
        // Kubernetes' tests have a RuntimeClass with this handler.
        handlers: { "test-handler": {}, crun: { binary_name: await crunHere(folder) } },
      },
      cni: { conf_dir: confDir, bin_dirs: [cniBinFolder()] },
      registry: { config_path: path.join(folder, "certs.d") },
      // Where the kubelet's cAdvisor looks for names.
      grpc: { also: ["/run/containerd/containerd.sock"] },
      log: { level: "debug", format: "json" },
    }),
  );
  return file;
}

async function pathWithoutSystemd(folder: string): Promise<string> {
  for (const from of ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"]) {
    for (const name of await readdir(from).catch(() => [])) {
      if (/^(systemd-run|systemctl|journalctl)$/.test(name)) continue;
      await symlink(path.join(from, name), path.join(folder, name)).catch(() => {});
    }
  }
  return folder;
}

/** What the suite has written about each spec, once it has ended. */
export async function readReport(file: string): Promise<readonly SpecReport[]> {
  const [suite] = JSON.parse(await readFile(file, "utf8")) as [
    { readonly SpecReports: readonly SpecReport[] | null },
  ];
  return suite?.SpecReports ?? [];
}

export interface SpecReport {
  readonly ContainerHierarchyTexts: readonly string[] | null;
  readonly LeafNodeText: string;
  readonly LeafNodeType: string;
  readonly State: string;
  readonly RunTime: number;
  readonly Failure?: { readonly Message?: string };
}
