// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { parse } from "yaml";
import type { Daemon } from "../daemon.ts";
import { findProgram } from "../lacking.ts";
import { disposeOnSignal } from "../last-resort.ts";
import { endChild, freePort } from "../registry.ts";
import { scratch } from "../scratch.ts";
import { GivenUp, until } from "../until.ts";
import { KubeletApi } from "./kubelet-api.ts";
import { makeCgroupRoot, rememberTraces } from "./kubelet-traces.ts";
import { machineSettings } from "./machine-settings.ts";
import type { PodManifest } from "./static-pods.ts";

/** The node's name: what a kubelet signs its certificate for, and the end of static pods' names. */
const node = "localhost";

/** A kubelet, without an API server unless it is told of one; its pods are files in a folder. */
export interface Kubelet extends AsyncDisposable {
  readonly folder: string;
  /** Where its pods' logs go. */
  readonly logs: string;
  readonly api: KubeletApi;
  /** Writes a pod's manifest. Answers the name that the pod gets. */
  place(pod: PodManifest): Promise<string>;
  /** Removes all manifests. */
  withdrawAll(): Promise<void>;
  /** Writes a profile that pods name as `localhostProfile`. */
  placeSeccompProfile(name: string, profile: object): Promise<void>;
  /** Starts it again after stop, with flags that win over the configuration. */
  start(...flags: readonly string[]): Promise<void>;
  stop(): Promise<void>;
  log(): Promise<string>;
}

/**
 * Starts a kubelet whose runtime is `daemon`, with `deploy/kubelet-config.yaml` and what a test on
 * this machine needs. Its pods' cgroups are below the daemon's territory. Disposing stops it and
 * takes back what it did to the machine; the pods are the daemon's to remove. `flags` are further
 * ones of every start: `--kubeconfig` ends its life without an API server.
 */
export async function startKubelet(
  binary: string,
  daemon: Daemon,
  flags: readonly string[] = [],
): Promise<Kubelet> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await scratch({ prefix: "kubelet", space: false }));
  const { cgroupParent: cgroupRoot } = daemon.territory;
  undo.use(await rememberTraces({ folder: home.path, cgroupRoot }));
  await makeCgroupRoot(cgroupRoot);
  const manifests = await home.folder("manifests");
  const root = await home.folder("root");
  const logs = path.join(home.path, "logs");
  const certificates = path.join(home.path, "pki");
  const port = await freePort();
  const config = path.join(home.path, "kubelet.json");
  const deployed = parse(await readFile(deployedConfig, "utf8")) as object;
  await writeFile(
    config,
    JSON.stringify({
      ...deployed,
      ...(await machineConfig()),
      containerRuntimeEndpoint: `unix://${daemon.socket}`,
      cgroupRoot,
      staticPodPath: manifests,
      podLogsDir: logs,
      volumePluginDir: path.join(home.path, "volume-plugins"),
      port,
    }),
  );
  const logFile = path.join(home.path, "kubelet.log");
  const api = new KubeletApi(`${node}:${port}`, path.join(certificates, "kubelet.crt"));
  let child: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    if (child) await endChild(child, 10_000);
  };
  const start = async (...more: readonly string[]): Promise<void> => {
    const log = openSync(logFile, "a");
    // With a death signal the kubelet does not outlive a test process that was killed.
    const launcher = findProgram("setpriv") ? ["setpriv", "--pdeathsig", "KILL"] : [];
    const own = ["--config", config, "--root-dir", root, "--cert-dir", certificates];
    const all = [...own, "--hostname-override", node, "--v=2", ...flags, ...more];
    const argv = [...launcher, binary, ...all];
    const started = spawn(argv[0]!, argv.slice(1), { stdio: ["ignore", log, log], cwd: "/" });
    closeSync(log);
    child = started;
    await until(
      "the kubelet serves",
      async () => {
        if (started.exitCode !== null || started.signalCode !== null) {
          const said = await readFile(logFile, "utf8");
          throw new GivenUp(`the kubelet ended: ${said.slice(-4000)}`);
        }
        return (await api.request("/healthz")) === "ok" && (await api.pods());
      },
      { timeoutMs: 180_000, everyMs: 200 },
    );
  };
  undo.defer(stop);
  await start();
  const owned = undo.move();
  owned.use(disposeOnSignal(owned));
  return {
    folder: home.path,
    logs,
    api,
    start,
    stop,
    log: () => readFile(logFile, "utf8"),
    place: async (pod) => {
      const { name } = pod.metadata;
      const hidden = path.join(manifests, `.${name}.json`);
      await writeFile(hidden, JSON.stringify({ apiVersion: "v1", kind: "Pod", ...pod }));
      await rename(hidden, path.join(manifests, `${name}.json`));
      return `${name}-${node}`;
    },
    placeSeccompProfile: async (name, profile) => {
      const file = path.join(root, "seccomp", name);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, JSON.stringify(profile));
    },
    withdrawAll: async () => {
      for (const name of await readdir(manifests)) await rm(path.join(manifests, name));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const deployedConfig = path.resolve(import.meta.dirname, "../../../deploy/kubelet-config.yaml");

/** What a test and this kind of machine need beyond the deployed configuration. */
async function machineConfig(): Promise<object> {
  return {
    address: "127.0.0.1",
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    healthzPort: 0,
    ...(await machineSettings()),
    // Its chains serve kube-proxy, of which there is none.
    makeIPTablesUtilChains: false,
    // Quicker than in production: a test waits for these.
    syncFrequency: "2s",
    fileCheckFrequency: "2s",
    containerLogMaxSize: "100Ki",
    containerLogMaxFiles: 20,
    containerLogMonitorInterval: "3s",
  };
}
