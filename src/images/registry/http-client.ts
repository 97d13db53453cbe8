// SPDX-License-Identifier: Apache-2.0

import { readFile } from "node:fs/promises";
import http, { type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import https from "node:https";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, fault, RuntimeFault } from "../../base/errors.ts";
import { startTimer } from "../../base/timers.ts";
import type { RegistryHost, TlsFiles } from "./hosts.ts";

export interface HttpRequest extends Cancellable {
  readonly method: "GET" | "HEAD" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** An answer whose body is still to be read: consume it, or call `discard`. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
  discard(): void;
}

const maxRedirects = 10;

/**
 * HTTP to one registry, on node:http rather than `fetch`: that one cannot be given authorities, and it
 * undoes content encodings, after which a digest no longer fits. Connections are kept for reuse.
 * Errors: UNAVAILABLE for anything between here and the answer, the signal's own.
 */
export class HttpClient implements Disposable {
  readonly #connectTimeoutMs: number;
  readonly #http = new http.Agent({ keepAlive: true });
  readonly #https: https.Agent;

  private constructor(tls: https.AgentOptions, connectTimeoutMs: number) {
    this.#https = new https.Agent({ keepAlive: true, ...tls });
    this.#connectTimeoutMs = connectTimeoutMs;
  }

  static async create(host: Pick<RegistryHost, "tls" | "connectTimeoutMs">): Promise<HttpClient> {
    return new HttpClient(await tlsOptions(host.tls), host.connectTimeoutMs);
  }

  /** Follows redirects; one to another host goes without `authorization`. */
  async request(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    let at = url;
    let headers = request.headers;
    for (let hops = 0; hops <= maxRedirects; hops += 1) {
      const answer = await this.#once(at, { ...request, headers });
      const location = answer.headers.location;
      const isRedirect = [301, 302, 303, 307, 308].includes(answer.status);
      if (!isRedirect || location === undefined) return answer;
      answer.discard();
      const next = redirectTarget(location, at);
      if (next.origin !== at.origin) headers = withoutAuthorization(headers);
      at = next;
    }
    throw fault("UNAVAILABLE", `"${url.host}" redirects without end`);
  }

  [Symbol.dispose](): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #once(url: URL, { method, headers, body, signal }: HttpRequest): Promise<HttpAnswer> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const isTls = url.protocol === "https:";
    const request = (isTls ? https : http).request(url, {
      method,
      headers: { "user-agent": "berthd", ...headers },
      agent: isTls ? this.#https : this.#http,
      signal,
    });
    const connecting = startTimer(() => {
      request.destroy(fault("UNAVAILABLE", `cannot reach "${url.host}": connect timed out`));
    }, this.#connectTimeoutMs);
    request.on("socket", (socket) => {
      if (!socket.connecting) connecting.stop();
      else socket.once(isTls ? "secureConnect" : "connect", () => connecting.stop());
    });
    request.on("close", () => connecting.stop());
    request.on("error", (error) => reject(connectionFault(error, url, signal)));
    request.on("response", (response) => {
      response.on("error", () => {}); // whoever reads the body sees it; nobody may
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: response,
        discard: () => void response.resume(),
      });
    });
    request.end(body);
    return promise;
  }
}

/** The whole body, for small answers; RESOURCE_EXHAUSTED past `maxBytes`. */
export async function readBody(answer: HttpAnswer, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer.body) {
      size += (chunk as Buffer).length;
      if (size > maxBytes) throw fault("RESOURCE_EXHAUSTED", "answer of the registry is too long");
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    if (error instanceof RuntimeFault || answer.body.errored?.name === "AbortError") throw error;
    throw fault("UNAVAILABLE", "the registry broke the connection", { cause: error });
  }
  return Buffer.concat(chunks);
}

function redirectTarget(location: string, from: URL): URL {
  const next = URL.parse(location, from);
  if (next === null || !/^https?:$/.test(next.protocol)) {
    throw fault("UNAVAILABLE", `"${from.host}" redirects to no address`);
  }
  return next;
}

function withoutAuthorization(headers: HttpRequest["headers"]): HttpRequest["headers"] {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !/^(authorization|cookie)$/i.test(name)),
  );
}

function connectionFault(error: Error, url: URL, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof RuntimeFault) return error;
  const why = errnoOf(error) ?? error.message;
  return fault("UNAVAILABLE", `cannot reach "${url.host}": ${why}`, { cause: error });
}

async function tlsOptions({ skipVerify, ca, client }: TlsFiles): Promise<https.AgentOptions> {
  const read = async (file: string): Promise<string> => {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      throw fault("FAILED_PRECONDITION", `cannot read "${file}"`, { cause: error });
    }
  };
  const options: https.AgentOptions = { rejectUnauthorized: !skipVerify };
  if (ca.length > 0) {
    // Naming any authority replaces the built-in ones, which must go on counting.
    const { getCACertificates } = await import("node:tls");
    options.ca = [...getCACertificates("default"), ...(await Promise.all(ca.map(read)))];
  }
  if (client.length > 0) {
    options.cert = await Promise.all(client.map(([cert]) => read(cert)));
    options.key = await Promise.all(client.map(([, key]) => read(key)));
  }
  return options;
}
