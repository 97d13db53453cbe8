// SPDX-License-Identifier: Apache-2.0
import type {
  V1Container,
  V1Deployment,
  V1Pod,
  V1PodSpec,
  V1PodTemplateSpec,
  V1Service,
  V1ServicePort,
  V1ServiceSpec,
} from "@kubernetes/client-node";

/** Of the client's types, which are classes, what a manifest has. */
export type Plain<T> = { [K in keyof T]: T[K] };

/** A container named "main" that runs a script in a shell. */
export function shellContainer(
  image: string,
  script: string,
  more: Partial<Plain<V1Container>> = {},
): Plain<V1Container> {
  return { name: "main", image, command: ["sh", "-c", script], ...more };
}

/** Tells its pod's name over HTTP at port 8080. */
export function webContainer(image: string, more: Partial<V1Container> = {}): V1Container {
  const script = "mkdir /www; hostname >/www/index.html; exec httpd -f -p 8080 -h /www";
  return shellContainer(image, script, {
    ports: [{ name: "http", containerPort: 8080 }],
    readinessProbe: { httpGet: { path: "/index.html", port: "http" }, periodSeconds: 1 },
    resources: { requests: { cpu: "10m", memory: "16Mi" }, limits: { memory: "64Mi" } },
    ...more,
  });
}

/** For pods that an end need not be gentle to. */
export const briefly = { terminationGracePeriodSeconds: 1 } as const;

export function pod(name: string, spec: Plain<V1PodSpec>, labels?: Record<string, string>): V1Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, ...(labels && { labels }) },
    spec: { ...briefly, ...spec },
  };
}

/** A template of pods with the label `app=NAME`. */
export function template(app: string, spec: Plain<V1PodSpec>): V1PodTemplateSpec {
  return { metadata: { labels: { app } }, spec: { ...briefly, ...spec } };
}

/** Spreads its pods evenly over the nodes. */
export function deployment(app: string, replicas: number, spec: Plain<V1PodSpec>): V1Deployment {
  const matchLabels = { app };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: app },
    spec: {
      replicas,
      selector: { matchLabels },
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 2 } },
      template: template(app, {
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: "kubernetes.io/hostname",
            whenUnsatisfiable: "ScheduleAnyway",
            labelSelector: { matchLabels },
          },
        ],
        ...spec,
      }),
    },
  };
}

export function service(
  app: string,
  port: V1ServicePort,
  more: Partial<Plain<V1ServiceSpec>> = {},
): V1Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: app },
    spec: { selector: { app }, ports: [port], ...more },
  };
}
