// SPDX-License-Identifier: Apache-2.0
import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, type FaultOptions, fault, isFault, RuntimeFault } from "../../base/errors.ts";
import { freeBytes } from "../../base/free-bytes.ts";
import { onAbort } from "../../base/on-abort.ts";
import { startTimer } from "../../base/timers.ts";
import { unlessAborted } from "../../base/waits.ts";
import { connectionWords } from "./connection-words.ts";
import { Connections, type NetworkSettings, type Route } from "./connections.ts";
import type { RegistryHost } from "./hosts.ts";
import { answerOf, type HttpAnswer } from "./http-answer.ts";
import { registryLimits } from "./limits.ts";
import { passing } from "./patience.ts";
import { type Proxy, throughText } from "./proxies.ts";
import { refused } from "./proxy-agents.ts";
import { followed, isRedirect } from "./redirect.ts";
import { registryFault } from "./registry-fault.ts";
import { withoutRepeatedLength } from "./repeated-length.ts";
import { isUnsendable, type RequestBody, sendStream } from "./send-stream.ts";

export interface HttpRequest extends Cancellable {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH";
  /** Headers that the target of a redirect may see too. */
  readonly headers: Readonly<Record<string, string>>;
  /** Headers for this host alone: credentials, and what the operator has set for it. */
  readonly ownHeaders?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | RequestBody;
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
 * content encodings, after which a digest no longer fits. Connections are kept for reuse, and go through a proxy where
 * the settings name one for the URL. A proxy gets its own credentials, and they go nowhere else.
 *
 * Errors: UNAVAILABLE for anything between here and the answer, DEADLINE_EXCEEDED when none comes (both with the
 * detail `unreached`, and the proxy's name), FAILED_PRECONDITION for a redirect that is not followed and for
 * certificates that cannot be used, the signal's own.
 */
export class HttpClient implements Disposable {
  readonly #connectTimeoutMs: number;
  readonly #connections: Connections;
  #hasAnswered = false;
  /** Origins whose answers are written in ways that no standard has. */
  readonly #lenient = new Set<string>();

  private constructor({ connectTimeoutMs }: RegistryHost, connections: Connections) {
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#connections = connections;
  }

  static async create(host: RegistryHost, network: NetworkSettings): Promise<HttpClient> {
    return new HttpClient(host, await Connections.create(host, network));
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
      await answer.discard();
      at = followed(answer, at.request);
    }
    throw registryFault(`"${url.host}" redirects without end`);
  }

  [Symbol.dispose](): void {
    this.#connections[Symbol.dispose]();
  }

  async #once(
    url: URL,
    wanted: HttpRequest,
    signal: AbortSignal,
    late: AbortSignal,
  ): Promise<HttpAnswer> {
    const either = AbortSignal.any([signal, late]);
    let route: Route;
    try {
      route = await unlessAborted(this.#connections.to(url), either);
    } catch (error) {
      if (either.aborted || !isFault(error)) throw error;
      throw fault(error.code, `cannot reach "${url.host}": ${error.message}`, { cause: error });
    }
    // A connection that was kept may have died meanwhile, and each other one that was kept beside it too.
    for (let dead = 0; ; dead += 1) {
      const isLenient = this.#lenient.has(url.origin);
      try {
        return await this.#send(url, wanted, route, { signal, late, isLenient });
      } catch (error) {
        if (either.aborted) throw error;
        const isOdd = !isLenient && isOddlyWritten(error);
        if (isOdd) this.#lenient.add(url.origin);
        // It has been answered: what changes something there is not sent twice.
        if (isOdd && (wanted.method === "GET" || wanted.method === "HEAD")) continue;
        if (dead >= mostDead || isStreamed(wanted.body) || !wasDead(error)) throw error;
      }
    }
  }

  #send(
    url: URL,
    { method, headers, ownHeaders, body }: HttpRequest,
    { agent, proxy }: Route,
    { signal, late, isLenient }: Circumstances,
  ): Promise<HttpAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    promise.catch(() => {}); // nobody has it yet, should what follows throw
    const closed = Promise.withResolvers<void>();
    const isTls = url.protocol === "https:";
    const isForwarded = proxy !== undefined && !isTls && !proxy.isSocks;
    const request = (isTls ? https : http).request(url, {
      method,
      headers: {
        "user-agent": "berthd",
        ...ownHeaders,
        ...headers,
        ...(isStreamed(body) && { "content-length": String(body.bytes) }),
        ...(isForwarded && proxy.authorization && { "proxy-authorization": proxy.authorization }),
      },
      insecureHTTPParser: isLenient,
      ...(isForwarded && { path: `${url.origin}${url.pathname}${url.search}` }),
      agent,
      signal,
      maxHeaderSize: registryLimits.headerBytes,
    });
    if (isLenient) request.shouldKeepAlive = false;
    const reaction = onAbort(late, (reason) => void request.destroy(reason));
    const connecting = startTimer(() => {
      const details = { connectTimedOut: true };
      request.destroy(unreached(url, proxy, "connect timed out", { details }));
    }, this.#connectTimeoutMs);
    request.on("socket", (socket) => {
      freeWhatWasParsed(socket, request);
      if (isLenient) withoutRepeatedLength(socket, registryLimits.headerBytes);
      if (!socket.connecting) connecting.stop();
      else socket.once(isTls ? "secureConnect" : "connect", () => connecting.stop());
    });
    request.on("close", () => {
      connecting.stop();
      closed.resolve();
      reject(unreached(url, proxy, "it closed the connection")); // without an error, as after a 101
    });
    request.on("error", (error) => {
      const { reusedSocket } = request;
      const how = { reusedSocket, hasAnswered: this.#hasAnswered };
      reject(signal.aborted ? signal.reason : connectionFault(error, url, proxy, how));
    });
    request.on("response", (response) => {
      this.#hasAnswered = true;
      reaction[Symbol.dispose](); // the body has limits of its own
      if (isForwarded && response.statusCode === 407) {
        request.destroy(refused(407));
        return;
      }
      if (isLenient && !hasKnownEnd(response)) {
        request.destroy(unreached(url, proxy, "it is not clear where its answers end"));
        return;
      }
      const isHead = method === "HEAD";
      sending?.answered(response);
      resolve(answerOf(response, { url, proxy, isHead, closed: closed.promise }));
    });
    const sending = isStreamed(body) ? sendStream(request, body) : undefined;
    if (!isStreamed(body)) request.end(body);
    return promise;
  }
}

function isStreamed(body: HttpRequest["body"]): body is RequestBody {
  return typeof body === "object" && !(body instanceof Uint8Array);
}

interface Circumstances {
  readonly signal: AbortSignal;
  readonly late: AbortSignal;
  /**
   * Takes a length beside chunks, or twice, lines that end in a line feed alone and the like, which other clients do too. What
   * follows the answer could be anything, so that its connection serves no other request.
   */
  readonly isLenient: boolean;
}

/** Whether an answer was refused for how it is written, which other clients may take; its length is no such thing. */
function isOddlyWritten(error: unknown): boolean {
  const errno = errnoOf(error instanceof RuntimeFault ? error.cause : undefined);
  return errno?.startsWith("HPE_") === true && errno !== "HPE_HEADER_OVERFLOW";
}

/** Chunks tell their end whatever length is stated; no other encoding does. */
function hasKnownEnd({ headers }: http.IncomingMessage): boolean {
  return /^\s*(?:chunked)?\s*$/i.test(headers["transfer-encoding"] ?? "");
}

/**
 * The parser copies an answer's body out of what the socket gives: that is done with by then, and would be garbage of
 * the body's whole size.
 */
function freeWhatWasParsed(socket: Socket, request: http.ClientRequest): void {
  socket.on("data", freeBytes); // after the parser's own listener, which is there by now
  // Before the socket serves another request, whose parser would come after this listener.
  request.once("close", () => socket.off("data", freeBytes));
}

/** True for a host that could not be asked at all, or does not answer. */
export function isUnreached(error: unknown): boolean {
  return error instanceof RuntimeFault && error.details?.["unreached"] === true;
}

function unreached(
  url: URL,
  proxy: Proxy | undefined,
  why: string,
  { cause, details }: FaultOptions = {},
): RuntimeFault {
  const message = `cannot reach "${url.host}"${throughText(proxy)}: ${why}`;
  return registryFault(message, { details: { ...details, unreached: true }, cause });
}

function noAnswer(url: URL, afterMs: number): RuntimeFault {
  const details = { unreached: true };
  const message = `"${url.host}" did not answer within ${afterMs / 1000} s`;
  return fault("DEADLINE_EXCEEDED", message, { details });
}

/** Connections that were kept and turned out to be dead, before the next one is told as an error. */
const mostDead = 8;
/** What a server, or what stands before it, does to connections when it is restarted or has too many. */
const broken: ReadonlySet<string> = new Set([
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "EAI_AGAIN",
  "ERR_STREAM_PREMATURE_CLOSE",
]);
/** The same where the host has answered before, and for good where it never did. */
const gone: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ETIMEDOUT",
]);

interface Connection {
  readonly reusedSocket: boolean;
  /** Whether the host has answered in this pull. */
  readonly hasAnswered: boolean;
}

function connectionFault(
  error: Error,
  url: URL,
  proxy: Proxy | undefined,
  { reusedSocket, hasAnswered }: Connection,
): RuntimeFault {
  if (error instanceof RuntimeFault) {
    const isWhole = isUnreached(error) || error.code === "DEADLINE_EXCEEDED" || isUnsendable(error);
    return proxy === undefined || isWhole
      ? error
      : unreached(url, proxy, error.message, {
          cause: error,
          ...(error.details && { details: error.details }),
        });
  }
  const errno = errnoOf(error) ?? "";
  const isPassing = broken.has(errno) || (hasAnswered && gone.has(errno));
  const details = {
    ...(isPassing && passing()),
    ...(reusedSocket && broken.has(errno) && { dead: true }),
  };
  return unreached(url, proxy, connectionWords(error), { cause: error, details });
}

function wasDead(error: unknown): boolean {
  return error instanceof RuntimeFault && error.details?.["dead"] === true;
}
