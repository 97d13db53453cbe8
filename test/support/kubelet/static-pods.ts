// SPDX-License-Identifier: Apache-2.0
import type { V1Container, V1PodSpec } from "@kubernetes/client-node";

type Plain<T> = { readonly [K in keyof T]: T[K] };

/** A pod as its manifest has it. */
export interface PodManifest {
  /** With a uid of its own, a pod whose manifest changes is changed in place where that can be; else it is another. */
  readonly metadata: { readonly name: string; readonly uid?: string };
  readonly spec: Plain<V1PodSpec>;
}

/** The pods' names, without what the kubelet puts behind them. */
export type StaticPodName =
  | "web"
  | "guarded"
  | "chatty"
  | "crash"
  | "greedy"
  | "unwell"
  | "slow"
  | "host"
  | "told"
  | "brief"
  | "adrift"
  | "privileged";

export interface StaticPodOptions {
  /** A plain shell's. */
  readonly image: string;
  /** A port of the host for the web pod. */
  readonly hostPort: number;
  /** A folder of the host for the guarded pod. */
  readonly hostFolder: string;
  /** A seccomp profile for the told pod, below the kubelet's folder for them. */
  readonly seccompProfile: string;
}

/** How many lines the chatty pod writes, of 100 bytes each. */
export const chattyLines = 3000;

/** Pods as one writes them from the Kubernetes documentation. */
export function staticPods({
  image,
  hostPort,
  hostFolder,
  seccompProfile,
}: StaticPodOptions): Readonly<Record<StaticPodName, PodManifest>> {
  const shell = (
    name: string,
    script: string,
    more: Partial<Plain<V1Container>> = {},
  ): V1Container => ({
    name,
    image,
    imagePullPolicy: "IfNotPresent",
    command: ["sh", "-c", script],
    ...more,
  });
  const pod = (name: string, spec: Plain<V1PodSpec>): PodManifest => ({
    metadata: { name },
    spec: { terminationGracePeriodSeconds: 2, ...spec },
  });
  const work = { name: "work", mountPath: "/work" };
  // Who is to go on must not end because a machine is slow.
  const often = { periodSeconds: 1, timeoutSeconds: 60 };
  return {
    web: pod("web", {
      initContainers: [
        shell("seed", "echo seeded > /work/index.html; echo init is done", {
          volumeMounts: [work],
        }),
        shell(
          "sidecar",
          "trap 'exit 0' TERM; touch /work/up; while :; do echo tick; sleep 1; done",
          {
            restartPolicy: "Always",
            volumeMounts: [work],
            startupProbe: { exec: { command: ["test", "-f", "/work/up"] }, ...often },
          },
        ),
      ],
      containers: [
        shell(
          "server",
          "test -f /work/up || exit 9; echo serving as $POD; echo to stderr >&2; " +
            "exec httpd -f -p 8080 -h /work",
          {
            ports: [{ containerPort: 8080, hostPort }],
            env: [{ name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
            resources: {
              requests: { cpu: "100m", memory: "32Mi" },
              limits: { cpu: "200m", memory: "64Mi" },
            },
            volumeMounts: [work, { name: "memory", mountPath: "/memory" }],
            lifecycle: { postStart: { exec: { command: ["touch", "/work/post-start"] } } },
            startupProbe: { exec: { command: ["cat", "/work/index.html"] }, ...often },
            livenessProbe: { httpGet: { path: "/index.html", port: 8080 }, ...often },
            readinessProbe: { tcpSocket: { port: 8080 }, ...often },
          },
        ),
      ],
      volumes: [
        { name: "work", emptyDir: {} },
        { name: "memory", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
      ],
    }),
    guarded: pod("guarded", {
      // Its end is looked at: it has time for it.
      terminationGracePeriodSeconds: 60,
      shareProcessNamespace: true,
      securityContext: {
        runAsUser: 1000,
        runAsGroup: 3000,
        fsGroup: 2000,
        runAsNonRoot: true,
        seccompProfile: { type: "RuntimeDefault" },
      },
      containers: [
        shell(
          "main",
          "trap 'echo ended by TERM >> /host/end; exit 0' TERM; while :; do sleep 0.1; done",
          {
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ["ALL"] },
            },
            lifecycle: {
              preStop: { exec: { command: ["sh", "-c", "echo stopping >> /host/end"] } },
            },
            volumeMounts: [
              { ...work, subPath: "below" },
              { name: "host", mountPath: "/host" },
              { name: "about", mountPath: "/about", readOnly: true },
            ],
          },
        ),
      ],
      volumes: [
        { name: "work", emptyDir: {} },
        { name: "host", hostPath: { path: hostFolder, type: "Directory" } },
        {
          name: "about",
          downwardAPI: { items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }] },
        },
      ],
    }),
    chatty: pod("chatty", {
      containers: [
        shell(
          "main",
          `i=0; while [ $i -lt ${chattyLines} ]; do i=$((i+1)); printf '%099d\\n' $i; ` +
            "[ $((i % 50)) -eq 0 ] && sleep 0.1; done; sleep 1000",
        ),
      ],
    }),
    crash: pod("crash", {
      containers: [
        shell("main", "echo it breaks; exit 3", {
          terminationMessagePolicy: "FallbackToLogsOnError",
        }),
      ],
    }),
    greedy: pod("greedy", {
      restartPolicy: "Never",
      containers: [
        shell("main", "tail /dev/zero", {
          resources: { limits: { memory: "24Mi" } },
        }),
      ],
    }),
    unwell: pod("unwell", {
      containers: [
        shell("main", "sleep 1000", {
          livenessProbe: { exec: { command: ["false"] }, ...often, failureThreshold: 1 },
        }),
      ],
    }),
    slow: pod("slow", {
      containers: [
        shell("main", "sleep 1000", {
          readinessProbe: {
            exec: { command: ["sleep", "500"] },
            ...often,
            timeoutSeconds: 1,
          },
        }),
      ],
    }),
    host: pod("host", {
      hostNetwork: true,
      hostPID: true,
      hostIPC: true,
      containers: [shell("main", "sleep 1000", { imagePullPolicy: "Always" })],
    }),
    told: pod("told", {
      hostname: "busybox-1",
      hostAliases: [{ ip: "192.0.2.7", hostnames: ["foo.local", "bar.local"] }],
      dnsPolicy: "None",
      dnsConfig: {
        nameservers: ["192.0.2.1"],
        searches: ["ns1.svc.cluster-domain.example", "my.dns.search.suffix"],
        options: [{ name: "ndots", value: "2" }, { name: "edns0" }],
      },
      securityContext: {
        runAsUser: 1000,
        runAsGroup: 3000,
        supplementalGroups: [4000],
        supplementalGroupsPolicy: "Strict",
        sysctls: [
          { name: "kernel.shm_rmid_forced", value: "1" },
          { name: "net.ipv4.ip_unprivileged_port_start", value: "1" },
        ],
      },
      containers: [
        shell("main", "sleep 1000", {
          workingDir: "/made/for/it",
          env: [
            { name: "FIRST", value: "one" },
            { name: "SECOND", value: "$(FIRST) and $$(FIRST)" },
          ],
          securityContext: {
            seccompProfile: { type: "Localhost", localhostProfile: seccompProfile },
          },
          volumeMounts: [
            { name: "image", mountPath: "/image" },
            { name: "image", mountPath: "/part", subPath: "etc" },
            {
              name: "memory",
              mountPath: "/frozen",
              readOnly: true,
              recursiveReadOnly: "IfPossible",
            },
          ],
        }),
        // A second one of the pod: in its namespaces, with a root file system of its own.
        shell("peer", "sleep 1000"),
      ],
      volumes: [
        { name: "image", image: { reference: image, pullPolicy: "IfNotPresent" } },
        { name: "memory", emptyDir: { medium: "Memory" } },
      ],
    }),
    brief: pod("brief", {
      restartPolicy: "Never",
      containers: [
        shell("writes", "echo it went well > /tmp/last-words; echo not this", {
          terminationMessagePath: "/tmp/last-words",
        }),
        shell("prints", "echo not this either; exit 4", {
          terminationMessagePolicy: "FallbackToLogsOnError",
        }),
        shell("absent", "", { command: ["/no/such/program"] }),
      ],
    }),
    adrift: pod("adrift", {
      containers: [shell("main", "true", { image: "127.0.0.1:1/app:one" })],
    }),
    privileged: pod("privileged", {
      containers: [shell("main", "sleep 1000", { securityContext: { privileged: true } })],
    }),
  };
}
