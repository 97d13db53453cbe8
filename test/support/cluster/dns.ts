// SPDX-License-Identifier: Apache-2.0
import type { KubernetesObject } from "@kubernetes/client-node";
import { until } from "../until.ts";
import type { Box } from "./box.ts";
import { type ClusterClient, describePod, isReady, patience } from "./client.ts";
import { dnsAddress } from "./wiring.ts";

const name = "coredns";
const namespace = "kube-system";
const labels = { "k8s-app": "kube-dns" };

const corefile = `.:53 {
  errors
  health
  ready
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
    ttl 5
  }
  cache 5
  loadbalance
}
`;

/** CoreDNS as the cluster's DNS, with the rights that it needs. */
export function clusterDns(image: string): (KubernetesObject & Record<string, unknown>)[] {
  const metadata = { name, namespace };
  const group = "rbac.authorization.k8s.io";
  const rights = (apiGroups: string[], resources: string[]) => ({
    apiGroups,
    resources,
    verbs: ["list", "watch"],
  });
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    {
      apiVersion: `${group}/v1`,
      kind: "ClusterRole",
      metadata: { name },
      rules: [
        rights([""], ["endpoints", "services", "pods", "namespaces"]),
        rights(["discovery.k8s.io"], ["endpointslices"]),
      ],
    },
    {
      apiVersion: `${group}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name },
      roleRef: { apiGroup: group, kind: "ClusterRole", name },
      subjects: [{ kind: "ServiceAccount", name, namespace }],
    },
    { apiVersion: "v1", kind: "ConfigMap", metadata, data: { Corefile: corefile } },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            serviceAccountName: name,
            dnsPolicy: "Default",
            containers: [
              {
                name,
                image,
                args: ["-conf", "/etc/coredns/Corefile"],
                volumeMounts: [{ name: "config", mountPath: "/etc/coredns", readOnly: true }],
                readinessProbe: { httpGet: { path: "/ready", port: 8181 }, periodSeconds: 1 },
                livenessProbe: { httpGet: { path: "/health", port: 8080 } },
                securityContext: {
                  allowPrivilegeEscalation: false,
                  capabilities: { add: ["NET_BIND_SERVICE"], drop: ["ALL"] },
                  readOnlyRootFilesystem: true,
                },
              },
            ],
            volumes: [{ name: "config", configMap: { name } }],
          },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "kube-dns", namespace },
      spec: {
        clusterIP: dnsAddress,
        selector: labels,
        ports: [
          { name: "dns", port: 53, protocol: "UDP" },
          { name: "dns-tcp", port: 53, protocol: "TCP" },
        ],
      },
    },
  ];
}

/** Waits until the DNS can be asked from every node: its pod is ready, and each kube-proxy leads to it. */
export async function dnsAnswers(client: ClusterClient, nodes: readonly Box[]): Promise<void> {
  const labelSelector = Object.entries(labels)
    .map((label) => label.join("="))
    .join(",");
  await until(
    "the cluster's DNS is ready",
    async () => {
      const { items } = await client.core.listNamespacedPod({ namespace, labelSelector });
      if (items.some(isReady)) return true;
      throw new Error(items.map(describePod).join("; ") || "it has no pod");
    },
    patience,
  );
  for (const node of nodes) {
    await until(
      `${node.name} has a way to the cluster's DNS`,
      async () => {
        const rules = await node.must("iptables", ["-w", "-t", "nat", "-S", "KUBE-SERVICES"]);
        return rules.split("\n").some((rule) => rule.includes(`${dnsAddress}/32 -p udp`));
      },
      patience,
    );
  }
}
