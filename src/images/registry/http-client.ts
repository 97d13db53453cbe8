// SPDX-License-Identifier: Apache-2.0
import http from "node:http";
import https from "node:https";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, fault, RuntimeFault } from "../../base/errors.ts";
import { onAbort } from "../../base/on-abort.ts";
import { startTimer } from "../../base/timers.ts";
import type { RegistryHost } from "./hosts.ts";
import { answerOf, type HttpAnswer } from "./http-answer.ts";
import { registryLimits } from "./limits.ts";
import { followed, isRedirect } from "./redirect.ts";
import { tlsOptions } from "./tls-options.ts";

export interface HttpRequest extends Cancellable {
  readonly method: "GET" | "HEAD" | "POST";
  /** Headers that the target of a redirect may see too. */
  readonly headers: Readonly<Record<string, string>>;
  /** Headers for this host alone: credentials, and what the operator has set for it. */
  readonly ownHeaders?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** From the call to the end of the answer's headers, redirects included; 0 for no limit. */
  readonly answerMs: number;
  /**
   * "safe" follows redirects, but none from https to http; "any" those too, for an answer that is checked by its
   * digest; "none" answers the redirect itself.
   */
  readonly redirects: "safe" | "any" | "none";
}

/**
 * HTTP to one registry, on node:http rather than `fetch`: `fetch` takes no certificate authorities, and it undoes
 * content encodings, after which a digest no longer fits. Connections are kept for reuse. A client certificate is
 * shown to this host alone.
 *
 * Errors: UNAVAILABLE for anything between here and the answer, DEADLINE_EXCEEDED when none comes (both with the
 * detail `unreached`), FAILED_PRECONDITION for a redirect that is not followed, the signal's own.
 */
export class HttpClient implements Disposable {
  readonly #connectTimeoutMs: number;
  readonly #origin: string;
  readonly #http = new http.Agent({ keepAlive: true });
  readonly #own: https.Agent;
  readonly #others: https.Agent;

  private constructor(
    { base, connectTimeoutMs }: RegistryHost,
    tls: Awaited<ReturnType<typeof tlsOptions>>,
  ) {
    this.#origin = new URL(base).origin;
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#own = new https.Agent({ keepAlive: true, ...tls.own });
    this.#others = new https.Agent({ keepAlive: true, ...tls.others });
  }

  static async create(host: RegistryHost): Promise<HttpClient> {
    return new HttpClient(host, await tlsOptions(host.tls));
  }

  /** Sends one request and follows redirects as it allows. */
  async request(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    const late = new AbortController();
    const { answerMs, signal } = request;
    using _timer =
      answerMs > 0 ? startTimer(() => late.abort(noAnswer(url, answerMs)), answerMs) : undefined;
    let at = { url, request };
    for (let hops = 0; hops <= registryLimits.redirects; hops += 1) {
      const answer = await this.#once(at.url, at.request, signal, late.signal);
      if (request.redirects === "none" || !isRedirect(answer)) return answer;
      answer.discard();
      at = followed(answer, at.request);
    }
    throw fault("UNAVAILABLE", `"${url.host}" redirects without end`);
  }

  [Symbol.dispose](): void {
    for (const agent of [this.#http, this.#own, this.#others]) agent.destroy();
  }

  #once(
    url: URL,
    { method, headers, ownHeaders, body }: HttpRequest,
    signal: AbortSignal,
    late: AbortSignal,
  ): Promise<HttpAnswer> {
    signal.throwIfAborted();
    late.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const isTls = url.protocol === "https:";
    const request = (isTls ? https : http).request(url, {
      method,
      headers: { "user-agent": "berthd", ...ownHeaders, ...headers },
      agent: isTls ? (url.origin === this.#origin ? this.#own : this.#others) : this.#http,
      signal,
    });
    const reaction = onAbort(late, (reason) => void request.destroy(reason));
    const connecting = startTimer(() => {
      request.destroy(unreached(url, "connect timed out"));
    }, this.#connectTimeoutMs);
    request.on("socket", (socket) => {
      if (!socket.connecting) connecting.stop();
      else socket.once(isTls ? "secureConnect" : "connect", () => connecting.stop());
    });
    request.on("close", () => {
      connecting.stop();
      reject(unreached(url, "it closed the connection")); // without an error, as after a 101
    });
    request.on("error", (error) => reject(connectionFault(error, url, signal)));
    request.on("response", (response) => {
      reaction[Symbol.dispose](); // the body has limits of its own
      resolve(answerOf(response, url));
    });
    request.end(body);
    return promise;
  }
}

/** True for a host that could not be asked at all, or does not answer. */
export function isUnreached(error: unknown): boolean {
  return error instanceof RuntimeFault && error.details?.["unreached"] === true;
}

function unreached(url: URL, why: string, cause?: unknown): RuntimeFault {
  const details = { unreached: true };
  return fault("UNAVAILABLE", `cannot reach "${url.host}": ${why}`, { details, cause });
}

function noAnswer(url: URL, afterMs: number): RuntimeFault {
  const details = { unreached: true };
  const message = `"${url.host}" did not answer within ${afterMs / 1000} s`;
  return fault("DEADLINE_EXCEEDED", message, { details });
}

function connectionFault(error: Error, url: URL, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof RuntimeFault) return error;
  return unreached(url, errnoOf(error) ?? error.message, error);
}
