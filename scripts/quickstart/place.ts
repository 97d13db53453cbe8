// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { stringify } from "smol-toml";
import { conflist } from "../../test/support/cni.ts";
import { freePort } from "../../test/support/registry.ts";

/** Everything the quickstart makes lies in one folder, but for the bridge and the cgroups. */
export interface Place {
  readonly folder: string;
  readonly configFile: string;
  readonly socket: string;
  readonly logFile: string;
  readonly pidFile: string;
  readonly podLogs: string;
  readonly metricsUrlFile: string;
}

export const bridge = "berthqs0";
export const cgroupParent = "/berth-quickstart";
const subnet = "10.89.7.0/24";

export function placeAt(folder: string): Place {
  return {
    folder,
    configFile: path.join(folder, "config.toml"),
    socket: path.join(folder, "run/berthd.sock"),
    logFile: path.join(folder, "berthd.log"),
    pidFile: path.join(folder, "berthd.pid"),
    podLogs: path.join(folder, "pod-logs"),
    metricsUrlFile: path.join(folder, "metrics.url"),
  };
}

/** A fresh folder with a configuration and a CNI network; answers it and the address of /metrics. */
export async function makePlace(): Promise<{ place: Place; metricsUrl: string }> {
  const place = placeAt(await mkdtemp(path.join(tmpdir(), "berth-quickstart-")));
  const cni = path.join(place.folder, "cni");
  await mkdir(cni);
  const network = {
    name: "berth-quickstart",
    bridge,
    subnet,
    dataDir: path.join(place.folder, "ipam"),
  };
  await writeFile(
    path.join(cni, "10-quickstart.conflist"),
    `${JSON.stringify(conflist(network), undefined, 2)}\n`,
  );
  const metrics = `127.0.0.1:${await freePort()}`;
  const config = {
    root: path.join(place.folder, "root"),
    state: path.join(place.folder, "run"),
    grpc: { address: place.socket },
    metrics: { address: metrics },
    cni: {
      conf_dir: cni,
      bin_dirs: ["/opt/cni/bin", "/usr/lib/cni"].filter((folder) => existsSync(folder)),
    },
    nri: { enable: false },
    log: { level: "info", format: "json" },
  };
  await writeFile(place.configFile, `${stringify(config)}\n`);
  const metricsUrl = `http://${metrics}/metrics`;
  await writeFile(place.metricsUrlFile, metricsUrl);
  return { place, metricsUrl };
}
