// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { Readable, Writable } from "node:stream";
import {
  AppsV1Api,
  BatchV1Api,
  CoreV1Api,
  type CoreV1Event,
  Exec,
  KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  Log,
  PatchStrategy,
  setHeaderOptions,
  type V1Pod,
  type V1Status,
} from "@kubernetes/client-node";
import type { StatsSummary } from "../kubelet/stats-summary.ts";
import { until } from "../until.ts";

/** What a test waits for in a cluster: pulls, probes and back-offs, on a machine that does other things too. */
export const patience = { timeoutMs: 240_000, everyMs: 250 } as const;

interface KubeconfigFile {
  readonly contexts: { readonly context: { namespace?: string } }[];
}

export interface ExecOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** An administrator of the cluster, in one namespace. */
export class ClusterClient {
  readonly config = new KubeConfig();
  readonly namespace: string;
  readonly core: CoreV1Api;
  readonly apps: AppsV1Api;
  readonly batch: BatchV1Api;
  readonly objects: KubernetesObjectApi;
  readonly #kubeconfig: string;

  constructor(kubeconfig: string, namespace = "default") {
    this.#kubeconfig = kubeconfig;
    const file = JSON.parse(readFileSync(kubeconfig, "utf8")) as KubeconfigFile;
    for (const { context } of file.contexts) context.namespace = namespace;
    this.config.loadFromString(JSON.stringify(file));
    this.namespace = namespace;
    this.core = this.config.makeApiClient(CoreV1Api);
    this.apps = this.config.makeApiClient(AppsV1Api);
    this.batch = this.config.makeApiClient(BatchV1Api);
    this.objects = KubernetesObjectApi.makeApiClient(this.config);
  }

  /** Makes these, in the client's namespace where they name none. */
  async create(...all: readonly KubernetesObject[]): Promise<void> {
    for (const one of all) await this.objects.create(one);
  }

  /** The same administrator in a namespace of its own, which is gone with all in it some time after it is disposed. */
  async inNamespace(name: string): Promise<NamespacedClient> {
    const made = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
    await this.core.createNamespace({ body: made });
    const client = new ClusterClient(this.#kubeconfig, name);
    await until(
      "pods can be made there",
      () => client.core.readNamespacedServiceAccount({ name: "default", namespace: name }),
      patience,
    );
    const remove = async (): Promise<void> => {
      await this.core.deleteNamespace({ name, gracePeriodSeconds: 1 });
    };
    return { client, [Symbol.asyncDispose]: remove };
  }

  async pods(labelSelector: string): Promise<V1Pod[]> {
    const { namespace } = this;
    return (await this.core.listNamespacedPod({ namespace, labelSelector })).items;
  }

  pod(name: string): Promise<V1Pod> {
    return this.core.readNamespacedPod({ name, namespace: this.namespace });
  }

  /** Waits until so many pods of a label are ready and none of it goes; answers them. */
  readyPods(labelSelector: string, count: number): Promise<V1Pod[]> {
    return until(
      `${count} pods of ${labelSelector} are ready`,
      async () => {
        const pods = await this.pods(labelSelector);
        if (pods.length === count && pods.every(isReady)) return pods;
        throw new Error(pods.map(describePod).join("; ") || "there are none");
      },
      patience,
    );
  }

  /** Runs a command in a container to its end. */
  async exec(
    pod: string,
    command: readonly string[],
    { container = "main", input }: { readonly container?: string; readonly input?: Buffer } = {},
  ): Promise<ExecOutcome & { readonly bytes: Buffer }> {
    const [stdout, stderr] = [new Collected(), new Collected()];
    const status = Promise.withResolvers<V1Status>();
    const stdin = input === undefined ? null : Readable.from([input]);
    const socket = await new Exec(this.config).exec(
      this.namespace,
      pod,
      container,
      [...command],
      stdout,
      stderr,
      stdin,
      false,
      status.resolve,
    );
    socket.addEventListener("close", () => {
      status.reject(new Error(`exec in ${pod}: closed without a status`));
    });
    const timer = setTimeout(() => {
      status.reject(new Error(`exec in ${pod}: no end within 120 s`));
      socket.close();
    }, 120_000);
    try {
      const { status: verdict, details, message } = await status.promise;
      const cause = details?.causes?.find(({ reason }) => reason === "ExitCode");
      const code = verdict === "Success" ? 0 : Number(cause?.message ?? -1);
      const said = code === -1 ? (message ?? "") : stderr.text;
      return { code, stdout: stdout.text, stderr: said, bytes: stdout.bytes };
    } finally {
      clearTimeout(timer);
      socket.close();
    }
  }

  /**
   * Standard output of a command that must succeed, and may be run twice: a busy API server has been seen to reset the
   * connection. What is about the connection itself uses `exec`.
   */
  async must(pod: string, ...command: readonly string[]): Promise<string> {
    // An API server that is busy resets a connection now and then; any other end is what the tests are about.
    const again = (error: unknown) => {
      if (!/ECONNRESET|ECONNREFUSED|socket hang up|closed without a status/.test(messageOf(error)))
        throw error;
      console.error(`${command.join(" ")} in ${pod}, asked again after: ${messageOf(error)}`);
      return this.exec(pod, command);
    };
    const { code, stdout, stderr } = await this.exec(pod, command).catch(again);
    if (code !== 0) throw new Error(`${command.join(" ")} in ${pod}: exit ${code}: ${stderr}`);
    return stdout;
  }

  /** A container's log as it grows, until it is disposed. */
  async followLog(pod: string, container = "main"): Promise<FollowedLog> {
    const text = new Collected();
    // The client leaves the answer's stream without one, and being called off is an error to it.
    text.once("pipe", (source: Readable) => source.once("error", () => {}));
    const { namespace } = this;
    const stop = await new Log(this.config).log(namespace, pod, container, text, { follow: true });
    return { text: () => text.text, [Symbol.dispose]: () => stop.abort() };
  }

  /** What was told of an object of this name. */
  async events(name: string): Promise<CoreV1Event[]> {
    const fieldSelector = `involvedObject.name=${name}`;
    const { namespace } = this;
    return (await this.core.listNamespacedEvent({ namespace, fieldSelector })).items;
  }

  /** A kubelet's figures, by way of the API server. */
  async figures(node: string): Promise<StatsSummary> {
    const path = "stats/summary";
    const answer: unknown = await this.core.connectGetNodeProxyWithPath({ name: node, path });
    // The client parses what says that it is JSON, whatever its own types say.
    return answer as StatsSummary;
  }

  /** Whether a node's condition holds. */
  async nodeHas(name: string, condition: string): Promise<boolean> {
    const { status } = await this.core.readNode({ name });
    return conditionOf(status?.conditions, condition) === "True";
  }

  log(name: string, container = "main"): Promise<string> {
    return this.core.readNamespacedPodLog({ name, namespace: this.namespace, container });
  }

  /** Deletes pods at once, or whatever else has this name. */
  async remove(kind: string, apiVersion: string, name: string): Promise<void> {
    await this.objects.delete(
      { kind, apiVersion, metadata: { name } },
      undefined,
      undefined,
      undefined,
      undefined,
      "Background",
    );
  }
}

/** A WebSocket tells of its failure by an event. */
function messageOf(error: unknown): string {
  const { message } = error as { readonly message?: unknown };
  return typeof message === "string" ? message : String(error);
}

export interface NamespacedClient extends AsyncDisposable {
  readonly client: ClusterClient;
}

export interface FollowedLog extends Disposable {
  text(): string;
}

/** What was written to it. */
class Collected extends Writable {
  readonly #pieces: Buffer[] = [];

  override _write(piece: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#pieces.push(piece);
    done();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  get text(): string {
    return this.bytes.toString();
  }
}

/** For a patch that is merged as kubectl's are. */
export function strategicMerge(): ReturnType<typeof setHeaderOptions> {
  return setHeaderOptions("Content-Type", PatchStrategy.StrategicMergePatch);
}

export function isReady({ metadata, status }: V1Pod): boolean {
  const isGoing = metadata?.deletionTimestamp !== undefined;
  return !isGoing && conditionOf(status?.conditions, "Ready") === "True";
}

export function conditionOf(
  conditions: readonly { readonly type: string; readonly status: string }[] | undefined,
  type: string,
): string | undefined {
  return conditions?.find((it) => it.type === type)?.status;
}

/** In few words, for a failure's message. */
export function describePod({ metadata, spec, status }: V1Pod): string {
  const containers = [
    ...(status?.initContainerStatuses ?? []),
    ...(status?.containerStatuses ?? []),
  ];
  const states = containers.map(({ name, state, restartCount }) => {
    const { waiting, terminated } = state ?? {};
    const why = waiting
      ? `${waiting.reason}: ${waiting.message}`
      : (terminated?.reason ?? "running");
    return `${name} ${why} (${restartCount})`;
  });
  const going = metadata?.deletionTimestamp === undefined ? "" : " going";
  return `${metadata?.name} on ${spec?.nodeName}: ${status?.phase}${going} ${status?.reason ?? ""} ${states.join(", ")}`;
}
