// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile } from "node:fs/promises";
import https from "node:https";
import type { Box } from "./box.ts";
import type { Credentials } from "./credentials.ts";
import { type Service, startService } from "./service.ts";
import { type Addresses, kubernetesAddress, podNetwork, serviceNetwork } from "./wiring.ts";

export interface ControlPlanePrograms {
  readonly etcd: string;
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly scheduler: string;
}

export interface ControlPlane extends AsyncDisposable {
  readonly box: Box;
  readonly apiServer: Service;
  readonly controllerManager: Service;
  readonly scheduler: Service;
}

export interface ControlPlaneSettings {
  readonly box: Box;
  readonly folder: string;
  readonly addresses: Addresses;
  readonly credentials: Credentials;
}

export const apiPort = 6443;

/** etcd, the API server with RBAC, the controllers and the scheduler, in a box. */
export async function startControlPlane(
  programs: ControlPlanePrograms,
  { box, folder, addresses, credentials }: ControlPlaneSettings,
): Promise<ControlPlane> {
  await using undo = new AsyncDisposableStack();
  await mkdir(folder, { recursive: true });
  const launch = async (
    name: string,
    argv: readonly string[],
    isUp: () => Promise<boolean>,
  ): Promise<Service> => {
    const settings = { name, argv, folder, isUp, patienceMs: 120_000 };
    return undo.use(await startService(box, settings));
  };
  const client = "http://127.0.0.1:2379";
  const etcdFlags = {
    // In memory: with each write of a cluster's waits for a disk, what is tried is that.
    "data-dir": "/run/etcd",
    "listen-client-urls": client,
    "advertise-client-urls": client,
    "listen-peer-urls": "http://127.0.0.1:2380",
  };
  await launch("etcd", [programs.etcd, ...flagsOf(etcdFlags)], () => listens(box, 2379));

  const alsoKnownAs = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];
  const serving = await credentials.server("apiserver", [
    ...[addresses.controlPlane, kubernetesAddress, "127.0.0.1"].map((one) => `IP:${one}`),
    ...alsoKnownAs.map((one) => `DNS:${one}`),
  ]);
  const toExtensions = await credentials.client("front-proxy-client");
  const toKubelets = await credentials.client("apiserver-kubelet-client", "system:masters");
  const apiFlags = {
    "etcd-servers": client,
    "advertise-address": addresses.controlPlane,
    "secure-port": String(apiPort),
    "tls-cert-file": serving.certFile,
    "tls-private-key-file": serving.keyFile,
    "client-ca-file": credentials.ca.certFile,
    "authorization-mode": "Node,RBAC",
    "enable-admission-plugins": "NodeRestriction",
    "kubelet-certificate-authority": credentials.ca.certFile,
    "kubelet-client-certificate": toKubelets.certFile,
    "kubelet-client-key": toKubelets.keyFile,
    "kubelet-preferred-address-types": "InternalIP",
    // What serves a part of the API in its place is asked by these.
    "proxy-client-cert-file": toExtensions.certFile,
    "proxy-client-key-file": toExtensions.keyFile,
    "requestheader-client-ca-file": credentials.ca.certFile,
    "requestheader-allowed-names": "front-proxy-client",
    "requestheader-username-headers": "X-Remote-User",
    "requestheader-group-headers": "X-Remote-Group",
    "requestheader-extra-headers-prefix": "X-Remote-Extra-",
    // There is no kube-proxy in its box.
    "enable-aggregator-routing": "true",
    "service-account-issuer": "https://kubernetes.default.svc",
    "service-account-key-file": credentials.tokenKeyFile,
    "service-account-signing-key-file": credentials.tokenKeyFile,
    "service-cluster-ip-range": serviceNetwork,
    "allow-privileged": "true",
  };
  const apiServer = await launch(
    "kube-apiserver",
    [programs.apiServer, ...flagsOf(apiFlags)],
    async () =>
      isHealthy(`https://${addresses.controlPlane}:${apiPort}/readyz`, credentials.ca.certFile),
  );

  const kubeconfig = await credentials.kubeconfig("system:kube-controller-manager");
  const managerFlags = {
    kubeconfig,
    "bind-address": "127.0.0.1",
    "leader-elect": "false",
    "cluster-cidr": podNetwork,
    "service-account-private-key-file": credentials.tokenKeyFile,
    "root-ca-file": credentials.ca.certFile,
    "use-service-account-credentials": "true",
    // Quicker than in production: a test waits for it.
    "horizontal-pod-autoscaler-sync-period": "5s",
  };
  const controllerManager = await launch(
    "kube-controller-manager",
    [programs.controllerManager, ...flagsOf(managerFlags)],
    () => listens(box, 10257),
  );
  const schedulerFlags = {
    kubeconfig: await credentials.kubeconfig("system:kube-scheduler"),
    "bind-address": "127.0.0.1",
    "leader-elect": "false",
  };
  const scheduler = await launch(
    "kube-scheduler",
    [programs.scheduler, ...flagsOf(schedulerFlags)],
    () => listens(box, 10259),
  );
  const owned = undo.move();
  return {
    box,
    apiServer,
    controllerManager,
    scheduler,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export function flagsOf(flags: Readonly<Record<string, string>>): string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}

/** Whether a port of the box has a listener. */
export async function listens(box: Box, port: number): Promise<boolean> {
  const table = await box.must("cat", ["/proc/net/tcp", "/proc/net/tcp6"]);
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  return table.split("\n").some((line) => {
    const [, local = "", , state] = line.trim().split(/\s+/);
    return `${local} `.endsWith(wanted) && state === "0A";
  });
}

async function isHealthy(url: string, caFile: string): Promise<boolean> {
  const ca = await readFile(caFile);
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const asked = https.get(url, { ca, agent: false, timeout: 5000 }, (response) => {
    response.resume();
    resolve(response.statusCode === 200);
  });
  asked.once("timeout", () => asked.destroy(new Error(`${url}: no answer within 5 s`)));
  asked.once("error", reject);
  return promise;
}
