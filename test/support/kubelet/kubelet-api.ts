// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import https from "node:https";
import type { V1ContainerStatus, V1Pod } from "@kubernetes/client-node";

/** Over JSON: what client-node types as a Date is a string here. */
export type PodSeen = V1Pod;
export type ContainerSeen = V1ContainerStatus;

/** The kubelet's own HTTPS API, on loopback, with authentication off. */
export class KubeletApi {
  readonly host: string;
  readonly #certFile: string;

  /** `certFile` is what the kubelet signs for itself when it starts. */
  constructor(host: string, certFile: string) {
    this.host = host;
    this.#certFile = certFile;
  }

  ca(): Promise<string> {
    return readFile(this.#certFile, "utf8");
  }

  /** The body of an answer of 2xx; any other is an error with its body. */
  async request(path: string, method: "GET" | "POST" = "GET"): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const outgoing = https.request(`https://${this.host}${path}`, {
      method,
      agent: false,
      ca: await this.ca(),
      timeout: 60_000,
    });
    outgoing.once("timeout", () => outgoing.destroy(new Error(`${path}: no answer within 60 s`)));
    outgoing.once("error", reject);
    outgoing.once("response", (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.once("error", reject);
      response.once("end", () => {
        const body = Buffer.concat(pieces).toString();
        const status = response.statusCode ?? 0;
        if (status >= 200 && status < 300) resolve(body);
        else reject(new Error(`${method} ${path}: ${status}: ${body.slice(0, 500)}`));
      });
    });
    outgoing.end();
    return promise;
  }

  async json<T>(path: string): Promise<T> {
    return JSON.parse(await this.request(path)) as T;
  }

  async pods(): Promise<PodSeen[]> {
    return (await this.json<{ items: PodSeen[] | null }>("/pods")).items ?? [];
  }

  async pod(name: string): Promise<PodSeen> {
    const found = (await this.pods()).find((pod) => pod.metadata?.name === name);
    if (found === undefined) throw new Error(`the kubelet knows no pod ${name}`);
    return found;
  }

  /** Of a container of any kind. */
  async container(pod: string, name: string): Promise<ContainerSeen> {
    const { status } = await this.pod(pod);
    const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
    const found = all.find((container) => container.name === name);
    if (found === undefined) throw new Error(`pod ${pod} has no status of ${name} yet`);
    return found;
  }

  logs(pod: string, container: string, query = ""): Promise<string> {
    return this.request(`/containerLogs/default/${pod}/${container}?${query}`);
  }

  /** By ExecSync: standard output and error output in one. */
  run(pod: string, container: string, command: readonly string[]): Promise<string> {
    return this.request(
      `/run/default/${pod}/${container}?${query("cmd", [command.join(" ")])}`,
      "POST",
    );
  }

  /** For an upgrade to SPDY (https) or WebSocket (wss). */
  execUrl(
    scheme: "https" | "wss",
    pod: string,
    container: string,
    command: readonly string[],
  ): string {
    const streams = "input=1&output=1&error=1";
    const words = query("command", command);
    return `${scheme}://${this.host}/exec/default/${pod}/${container}?${words}&${streams}`;
  }
}

function query(name: string, values: readonly string[]): string {
  return new URLSearchParams(values.map((value) => [name, value])).toString();
}
