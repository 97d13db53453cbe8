// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, RuntimeFault } from "../../base/errors.ts";
import { algorithmOf, isDigest } from "../../content/digest.ts";
import type { Digest } from "../../content/ports.ts";
import { isKnownManifest } from "../manifest/media-types.ts";
import type { RegistryAuth } from "../ports.ts";
import { canonicalName, type Reference } from "../reference.ts";
import { Authorizer } from "./authorizer.ts";
import { mayBePlain } from "./connection-words.ts";
import type { NetworkSettings } from "./connections.ts";
import { credentialsFor } from "./credentials.ts";
import type { RegistryHost } from "./hosts.ts";
import type { HttpAnswer } from "./http-answer.ts";
import { HttpClient, type HttpRequest, isUnreached } from "./http-client.ts";
import { registryLimits, within } from "./limits.ts";
import { isPassing, type Patience, patiently, registryPatience } from "./patience.ts";
import { redirectStatuses } from "./redirect.ts";
import { isRefusal, refusalOf } from "./refusal.ts";
import { isSameServer } from "./same-server.ts";
import { isUnsendable } from "./send-stream.ts";
import { sessionOf, type UploadSession } from "./upload-session.ts";

export interface PushClientOptions {
  /** What is pushed to. */
  readonly reference: Reference;
  /** As they are configured; the first that may be pushed to is. */
  readonly hosts: readonly RegistryHost[];
  readonly network: NetworkSettings;
  readonly auth: RegistryAuth | undefined;
  /** A transfer that stands still for this long is given up; 0 for never. */
  readonly progressTimeoutMs: number;
  /** Tests have less. */
  readonly patience?: Patience;
}

/** One request of a push. */
export interface PushAsk extends Pick<HttpRequest, "method" | "body"> {
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses beside 2xx that count as an answer. */
  readonly tolerated?: readonly number[];
  /** From the request to the answer's headers; 0 where the caller watches over it. */
  readonly answerMs?: number;
  /** A repository of the same registry that is read with it. */
  readonly from?: string;
  readonly redirects?: HttpRequest["redirects"];
}

interface Server {
  readonly host: RegistryHost;
  readonly client: HttpClient;
}

/** A manifest or an index, as it is. */
export interface SentDocument {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Read when it is sent: an image may have many. */
  readonly read: (call: Cancellable) => Promise<Buffer>;
}

/**
 * Writes one repository of one registry host, for the time of one push. Errors name the image and the host, with what it
 * said: UNAUTHENTICATED, PERMISSION_DENIED, NOT_FOUND, UNAVAILABLE, DEADLINE_EXCEEDED, FAILED_PRECONDITION for answers
 * that make no sense.
 */
export class PushClient implements Disposable {
  readonly #options: PushClientOptions;
  readonly #closing = new DisposableStack();
  readonly #authorizers = new Map<string, Authorizer>();
  #server: Promise<Server> | undefined;

  constructor(options: PushClientOptions) {
    this.#options = options;
  }

  get reference(): Reference {
    return this.#options.reference;
  }

  get patience(): Patience {
    return this.#options.patience ?? registryPatience;
  }

  /** How long a transfer may stand still. */
  get stallMs(): number {
    return this.#options.progressTimeoutMs || registryLimits.blobAnswerMs;
  }

  /** The host that is pushed to. */
  async host(call: Cancellable): Promise<string> {
    return (await this.#reached(call)).host.base;
  }

  /** Whether the repository has a blob; where nobody can tell, it has not. */
  async hasBlob(digest: Digest, call: Cancellable): Promise<boolean> {
    return patiently(() => this.#hasBlobOnce(digest, call), {
      patience: this.patience,
      ...call,
    });
  }

  async #hasBlobOnce(digest: Digest, call: Cancellable): Promise<boolean> {
    const url = await this.urlOf(`blobs/${digest}`, call);
    try {
      // A store that a registry redirects to may not allow HEAD: that it redirects says enough.
      const ask = { method: "HEAD", url, redirects: "none", tolerated: redirectStatuses } as const;
      const answer = await this.ask(ask, call);
      await answer.discard();
      return true;
    } catch (error) {
      if (!isFault(error) || !isRefusal(error) || isPassing(error)) throw error;
      return false; // what is refused to a HEAD, the upload tells in words
    }
  }

  /**
   * Stores a manifest or an index under its digest, or the reference's tag; "exists" where the name means it already.
   * FAILED_PRECONDITION where the registry has made something else of it.
   */
  async putDocument(
    document: SentDocument,
    name: string,
    call: Cancellable,
  ): Promise<"exists" | "done"> {
    return patiently(() => this.#putOnce(document, name, call), {
      patience: this.patience,
      ...call,
    });
  }

  async #putOnce(
    { digest, mediaType, read }: SentDocument,
    name: string,
    call: Cancellable,
  ): Promise<"exists" | "done"> {
    const url = await this.urlOf(`manifests/${name}`, call);
    if (await this.#means(url, { digest, mediaType }, call)) return "exists";
    const headers = { "content-type": mediaType };
    const bytes = await read(call);
    const answerMs = registryLimits.documentMs;
    const answer = await this.ask({ method: "PUT", url, headers, body: bytes, answerMs }, call);
    await answer.discard();
    const stored = answer.headers["docker-content-digest"];
    const told = typeof stored === "string" && isDigest(stored) ? stored : digest;
    if (told !== digest && algorithmOf(told) === algorithmOf(digest)) {
      throw fault(
        "FAILED_PRECONDITION",
        `${this.#to(new URL(url))}: "${digest}" was stored as "${told}"`,
      );
    }
    return "done";
  }

  async #means(
    url: URL,
    { digest, mediaType }: Pick<SentDocument, "digest" | "mediaType">,
    call: Cancellable,
  ): Promise<boolean> {
    try {
      const headers = { accept: mediaType };
      const answer = await this.ask({ method: "HEAD", url, headers }, call);
      await answer.discard();
      const type = answer.headers["content-type"]?.split(";", 1)[0]?.trim() ?? "";
      const isOther = isKnownManifest(type) && type !== mediaType;
      return answer.headers["docker-content-digest"] === digest && !isOther;
    } catch (error) {
      if (!isFault(error) || !isRefusal(error) || isPassing(error)) throw error;
      return false;
    }
  }

  /** The address of something in the repository. */
  async urlOf(path: string, call: Cancellable): Promise<URL> {
    const { host } = await this.#reached(call);
    const url = new URL(`${host.base}/${this.reference.repository}/${path}`);
    if (host.isMirror) url.searchParams.set("ns", this.reference.domain);
    return url;
  }

  /**
   * One request, with a login when the host asks for one. Answers 2xx, or a `tolerated` status. Another origin, to which
   * a registry may send uploads, gets neither credentials nor the operator's headers.
   */
  async ask(ask: PushAsk, call: Cancellable): Promise<HttpAnswer> {
    const { host, client } = await this.#reached(call);
    const { url, method, body, headers = {}, tolerated = [], from, redirects = "safe" } = ask;
    const { answerMs = within(registryLimits.answerMs, this.#options.progressTimeoutMs) } = ask;
    const isOwn = isSameServer(new URL(host.base), url);
    const authorizer = this.#authorizer({ host, client }, from ?? "");
    for (let attempt = 1; ; attempt += 1) {
      const authorization = authorizer.header;
      const answer = await this.#named(url, () =>
        client.request(url, {
          method,
          headers,
          ...(isOwn && {
            ownHeaders: { ...host.headers, ...(authorization && { authorization }) },
          }),
          ...(body !== undefined && { body }),
          redirects,
          answerMs,
          ...call,
        }),
      );
      if (answer.status >= 200 && answer.status < 300) return answer;
      if (tolerated.includes(answer.status)) return answer;
      const why = { asked: url, secrets: authorizer.secrets };
      const refusal = await refusalOf(answer, this.#to(url), why, call);
      const wantsLogin = answer.status === 401 || answer.status === 403;
      const login = { sent: authorization, isNew: attempt > 1 };
      const learns = (): Promise<boolean> => authorizer.learn(answer, login, call);
      if (isOwn && wantsLogin && attempt < 3 && (await this.#named(url, learns))) continue;
      throw refusal;
    }
  }

  [Symbol.dispose](): void {
    this.#closing.dispose();
  }

  /** The host to push to: over TLS, or without where its configuration allows that and it speaks none. */
  async #reached(call: Cancellable): Promise<Server> {
    const server = (this.#server ??= this.#reach(call));
    try {
      return await server;
    } catch (error) {
      if (this.#server === server) this.#server = undefined;
      throw error;
    }
  }

  async #reach(call: Cancellable): Promise<Server> {
    const able = this.#options.hosts.filter(({ canPush }) => canPush);
    const [first] = able;
    if (!first) {
      const { domain } = this.reference;
      throw fault(
        "FAILED_PRECONDITION",
        `${this.#begin()}: no host of "${domain}" has the capability "push" in hosts.toml`,
      );
    }
    const plain = able.find(({ plainOf }) => plainOf === first.base);
    const server = await this.#open(first);
    if (!plain) return server;
    try {
      const url = new URL(`${first.base}/`);
      const answer = await server.client.request(url, {
        method: "GET",
        headers: {},
        redirects: "none",
        answerMs: within(registryLimits.answerMs, this.#options.progressTimeoutMs),
        ...call,
      });
      await answer.discard();
      return server;
    } catch (error) {
      call.signal.throwIfAborted();
      if (!mayBePlain(first, error)) return server;
    }
    return this.#open(plain);
  }

  async #open(host: RegistryHost): Promise<Server> {
    const client = this.#closing.use(await HttpClient.create(host, this.#options.network));
    return { host, client };
  }

  /** Each repository that is read beside ours has a token of its own: it may be refused. */
  #authorizer({ host, client }: Server, from: string): Authorizer {
    const known = this.#authorizers.get(from);
    if (known) return known;
    const { reference, auth, progressTimeoutMs } = this.#options;
    const made = new Authorizer({
      client,
      origin: new URL(host.base),
      headers: host.headers,
      credentials: credentialsFor(auth, reference.domain, host),
      repository: reference.repository,
      actions: "pull,push",
      ...(from !== "" && { reads: [from] }),
      progressTimeoutMs,
    });
    this.#authorizers.set(from, made);
    return made;
  }

  async #named<T>(url: URL, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#about(url, error as Error);
    }
  }

  /** What an answer says of the upload that it belongs to. */
  session(answer: HttpAnswer, known?: UploadSession): UploadSession {
    try {
      return sessionOf(answer, known);
    } catch (error) {
      throw this.#about(answer.url, error as Error);
    }
  }

  #about(url: URL, error: Error): Error {
    if (!(error instanceof RuntimeFault) || isUnsendable(error)) return error;
    const { code, message, details } = error;
    return fault(code, `${this.#to(url)}: ${message}`, {
      cause: error,
      details: { ...details, unreached: isUnreached(error) },
    });
  }

  #begin(): string {
    return `cannot push "${canonicalName(this.reference)}"`;
  }

  #to({ host }: URL): string {
    return `${this.#begin()} to "${host}"`;
  }
}
