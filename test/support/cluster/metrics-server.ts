// SPDX-License-Identifier: Apache-2.0
import type { KubernetesObject } from "@kubernetes/client-node";
import type { Cluster } from "./cluster.ts";
import { listens } from "./control-plane.ts";
import { type Service, startService } from "./service.ts";

const port = 4443;
const name = "metrics-server";
const user = `system:${name}`;
const service = { name, namespace: "kube-system" };

/** Kubernetes' metrics-server with the rights of its own manifests, behind the API server. */
export async function startMetricsServer(
  { controlPlane, addresses, credentials, client }: Cluster,
  settings: { readonly program: string; readonly folder: string },
): Promise<Service> {
  const { box } = controlPlane;
  await client.create(...rights());
  const kubeconfig = await credentials.kubeconfig(user);
  const serving = await credentials.server(name, [
    `IP:${addresses.controlPlane}`,
    `DNS:${name}.kube-system.svc`,
  ]);
  const started = await startService(box, {
    name,
    argv: [
      settings.program,
      ...["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"].map(
        (flag) => `--${flag}=${kubeconfig}`,
      ),
      `--bind-address=${addresses.controlPlane}`,
      `--secure-port=${port}`,
      `--tls-cert-file=${serving.certFile}`,
      `--tls-private-key-file=${serving.keyFile}`,
      `--kubelet-certificate-authority=${credentials.ca.certFile}`,
      "--kubelet-preferred-address-types=InternalIP",
      // The least that it takes, and more than this timeout.
      "--metric-resolution=10s",
      "--kubelet-request-timeout=5s",
    ],
    folder: settings.folder,
    isUp: () => listens(box, port),
  });
  await client.create(...placeInApi(addresses.controlPlane, credentials.ca.cert));
  return started;
}

/** As its releases have them. */
function rights(): KubernetesObject[] {
  const subject = { kind: "User", name: user, apiGroup: "rbac.authorization.k8s.io" };
  const binding = (of: string, role: string): object => ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: of },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
    subjects: [subject],
  });
  return [
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: user },
      rules: [
        { apiGroups: [""], resources: ["nodes/metrics"], verbs: ["get"] },
        { apiGroups: [""], resources: ["pods", "nodes"], verbs: ["get", "list", "watch"] },
      ],
    },
    binding(user, user),
    binding(`${name}:system:auth-delegator`, "system:auth-delegator"),
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: `${name}-auth-reader`, namespace: "kube-system" },
      roleRef: {
        apiGroup: "rbac.authorization.k8s.io",
        kind: "Role",
        name: "extension-apiserver-authentication-reader",
      },
      subjects: [subject],
    },
  ] as KubernetesObject[];
}

/** It is no pod, so its service has an endpoint made by hand. */
function placeInApi(address: string, ca: string): KubernetesObject[] {
  const objects: object[] = [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: service,
      spec: { ports: [{ name: "https", port: 443, protocol: "TCP", targetPort: port }] },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { ...service, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "https", port, protocol: "TCP" }],
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
    },
    {
      apiVersion: "apiregistration.k8s.io/v1",
      kind: "APIService",
      metadata: { name: "v1beta1.metrics.k8s.io" },
      spec: {
        service,
        group: "metrics.k8s.io",
        version: "v1beta1",
        groupPriorityMinimum: 100,
        versionPriority: 100,
        caBundle: Buffer.from(ca).toString("base64"),
      },
    },
  ];
  return objects;
}
