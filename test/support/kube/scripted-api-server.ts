// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: unknown;
}

export type Answer = (response: ServerResponse, request: SeenRequest) => void;

/** An API server that answers as it is told: by default as a good one does. */
export class ScriptedApiServer implements AsyncDisposable {
  readonly seen: SeenRequest[] = [];
  answer: Answer = good;
  readonly #server = http.createServer((request, response) => void this.#take(request, response));

  static async start(): Promise<ScriptedApiServer> {
    const made = new ScriptedApiServer();
    made.#server.listen(0, "127.0.0.1");
    await once(made.#server, "listening");
    return made;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A kubeconfig for it. */
  async kubeconfig(folder: string, user: object = { token: "secret" }): Promise<string> {
    const file = path.join(folder, "kubeconfig");
    await writeFile(file, kubeconfigText(this.url, user));
    return file;
  }

  /** Lets the process end while it serves. */
  unref(): void {
    this.#server.unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const text = Buffer.concat(pieces).toString();
    const { method = "", url = "", headers } = request;
    const body: unknown = text === "" ? undefined : JSON.parse(text);
    const seen = { method, path: url, headers, body };
    this.seen.push(seen);
    response.on("error", () => {}); // the client has gone
    this.answer(response, seen);
  }
}

/** JSON is YAML. The library speaks plain HTTP only where certificates would not be looked at either. */
export function kubeconfigText(server: string, user: object): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server, "insecure-skip-tls-verify": true } }],
    users: [{ name: "u", user }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });
}

/** What a good server answers: what it was given, under the name that was asked for. */
export const good: Answer = (response, { method, path: asked, body }) => {
  const name = asked
    .split("?")[0]
    ?.replace(/\/status$/, "")
    .split("/")
    .at(-1);
  const made = body as { metadata?: { name?: string } } | undefined;
  if (method === "GET") return json(response, 200, { kind: "List", items: [] });
  const metadata = method === "POST" ? made?.metadata : { name };
  json(response, method === "POST" ? 201 : 200, { ...made, metadata });
};

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

/** A refusal as API servers write it. */
export function refusal(status: number, message: string, details: object = {}): Answer {
  const body = { kind: "Status", apiVersion: "v1", status: "Failure", message, code: status };
  return (response) => json(response, status, { ...body, details });
}
