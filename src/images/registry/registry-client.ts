// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, type RuntimeFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { algorithmOf, digestOf, isDigest } from "../../content/digest.ts";
import type { Digest } from "../../content/ports.ts";
import type { DocumentReader } from "../manifest/document-reader.ts";
import type { Descriptor } from "../manifest/documents.ts";
import { acceptedManifests, isKnownManifest } from "../manifest/media-types.ts";
import type { RegistryAuth } from "../ports.ts";
import { canonicalName, type Reference } from "../reference.ts";
import { Authorizer, type Login } from "./authorizer.ts";
import { partOf } from "./blob-part.ts";
import type { NetworkSettings } from "./connections.ts";
import { codingOf, plainBody, uncoded } from "./content-coding.ts";
import { credentialsFor } from "./credentials.ts";
import { type HostFailures, pullFrom } from "./host-failures.ts";
import { HostTurns } from "./host-turns.ts";
import type { RegistryHost } from "./hosts.ts";
import { type HttpAnswer, readBody } from "./http-answer.ts";
import { HttpClient, type HttpRequest, isUnreached } from "./http-client.ts";
import { registryLimits, within } from "./limits.ts";
import {
  isPassing,
  isPassingStatus,
  type Patience,
  patiently,
  registryPatience,
  retryAfterOf,
} from "./patience.ts";
import { isStaleRedirect, redirectStatuses } from "./redirect.ts";
import { isRefusal, refusalOf } from "./refusal.ts";
import { TransferWatch } from "./transfer-watch.ts";

export interface RegistryClientOptions {
  readonly reference: Reference;
  /** In the order to ask. */
  readonly hosts: readonly RegistryHost[];
  readonly network: NetworkSettings;
  readonly auth: RegistryAuth | undefined;
  /**
   * A transfer that stands still for this long is given up. 0 for never: then only the wait for an answer's headers
   * has a limit.
   */
  readonly progressTimeoutMs: number;
  /** Tests have less. */
  readonly patience?: Patience;
  /** Reads what is too long for this thread. */
  readonly documents: DocumentReader;
  readonly log: Logger;
}

interface Server {
  readonly host: RegistryHost;
  readonly client: HttpClient;
  readonly authorizer: Authorizer;
}

interface Ask extends Pick<HttpRequest, "redirects"> {
  readonly method: "GET" | "HEAD";
  readonly headers: Readonly<Record<string, string>>;
  /** Statuses beside 2xx that count as an answer. */
  readonly tolerated?: readonly number[];
  readonly answerMs: number;
}

/** A blob's bytes from `start` on, and the host that sends them. */
export interface OpenBlob {
  readonly answer: HttpAnswer;
  readonly start: number;
  readonly host: RegistryHost;
}

const resolves = ({ canResolve }: RegistryHost): boolean => canResolve;
const pulls = ({ canPull }: RegistryHost): boolean => canPull;

interface DocumentAsk {
  readonly path: string;
  readonly redirects: HttpRequest["redirects"];
  readonly maxBytes: number;
  /** How long it may stand still. */
  readonly windowMs: number;
}

/**
 * Reads one repository through its hosts, for the time of one pull. A host that cannot answer, or answers something
 * else than was asked for, is passed over for the next. A host that could not be reached is asked last from then on.
 *
 * Errors name the reference, each host that was asked, and what it said. Their code is what the last one said, which is
 * the registry itself: NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE, DEADLINE_EXCEEDED, and
 * FAILED_PRECONDITION for bytes that do not fit their digest.
 */
export class RegistryClient implements Disposable {
  readonly #options: RegistryClientOptions;
  readonly #servers: readonly Server[];
  readonly #turns: HostTurns<Server>;
  /** Which said last what the reference means, and how; and those whose answers led nowhere. */
  #resolver: { readonly server: Server; readonly byHead: boolean } | undefined;
  readonly #distrusted = new Map<RegistryHost, RuntimeFault>();
  /** Hosts that refuse HEAD. */
  readonly #headless = new Set<Server>();
  /** A document that `resolve` had to read whole, so that it is not requested twice. */
  #resolved: { readonly digest: Digest; readonly bytes: Buffer } | undefined;

  private constructor(options: RegistryClientOptions, servers: readonly Server[]) {
    this.#options = options;
    this.#servers = servers;
    const { reference, log } = options;
    this.#turns = new HostTurns({ servers, image: canonicalName(reference), log });
  }

  static async create(options: RegistryClientOptions): Promise<RegistryClient> {
    const { reference, hosts, auth, network, progressTimeoutMs } = options;
    const { repository } = reference;
    using made = new DisposableStack();
    const servers: Server[] = [];
    for (const host of hosts) {
      const client = made.use(await HttpClient.create(host, network));
      const credentials = credentialsFor(auth, reference.domain, host);
      const origin = new URL(host.base);
      const { headers } = host;
      const login = { client, origin, headers, credentials, repository, progressTimeoutMs };
      const authorizer = new Authorizer(login);
      servers.push({ host, client, authorizer });
    }
    made.move();
    return new RegistryClient(options, servers);
  }

  get reference(): Reference {
    return this.#options.reference;
  }

  /** How often to ask again. All but `blob` does so by itself. */
  get patience(): Patience {
    return this.#options.patience ?? registryPatience;
  }

  /** What the reference means now: a manifest or an index. */
  resolve(call: Cancellable): Promise<Descriptor> {
    return this.#patiently(() => this.#resolveOnce(call), call);
  }

  async #resolveOnce(call: Cancellable): Promise<Descriptor> {
    const { tag, digest } = this.reference;
    const path = `manifests/${digest ?? tag}`;
    const resolve = async (server: Server, isLast: boolean): Promise<Descriptor> => {
      this.#resolver = { server, byHead: false };
      const answerMs = this.#documentMs(isLast);
      const asked = { headers: forManifest, redirects: "safe", answerMs } as const;
      const head = await this.#head(server, path, asked, call);
      const stated = head?.headers["docker-content-digest"];
      const mediaType = head ? contentType(head) : "";
      const size = Number(head?.headers["content-length"]);
      const named = digest ?? (typeof stated === "string" ? stated : "");
      const isKnown = isKnownManifest(mediaType);
      const isPlain = head?.status === 200 && codingOf(head.headers) === undefined;
      if (isPlain && isDigest(named) && isKnown && size > 0) {
        this.#resolver = { server, byHead: true };
        return { mediaType, digest: named, size, annotations: {} };
      }
      const bytes = await this.#read(
        server,
        { path, redirects: "safe", maxBytes: registryLimits.documentBytes, windowMs: answerMs },
        call,
      );
      const found = digestOf(bytes.body, digest && algorithmOf(digest));
      if (digest !== undefined && found !== digest) throw this.#wrongDigest(server, found);
      this.#resolved = { digest: found, bytes: bytes.body };
      const task = {
        kind: "type",
        bytes: bytes.body,
        what: `manifest "${found}"`,
        mediaType: bytes.contentType,
      } as const;
      return {
        mediaType: await this.#options.documents.read(task, call),
        digest: found,
        size: bytes.body.length,
        annotations: {},
      };
    };
    return this.#turns.first(resolves, call, resolve, this.#distrusted);
  }

  /**
   * What the reference was said to mean led nowhere: the host that said it is not asked that again, or, where a HEAD has
   * said it, by GET alone. False where no other is left.
   */
  distrust(error: RuntimeFault): boolean {
    const { server, byHead } = this.#resolver ?? {};
    if (server && byHead && this.reference.digest === undefined) {
      this.#headless.add(server);
      return true;
    }
    if (server) this.#distrusted.set(server.host, error);
    this.#resolved = undefined;
    return this.#servers.some(
      ({ host }) => resolves(host) && host.plainOf === undefined && !this.#distrusted.has(host),
    );
  }

  /** The bytes of a manifest, index or config, with the size and digest of its descriptor. */
  async document({ digest, mediaType, size }: Descriptor, call: Cancellable): Promise<Buffer> {
    if (this.#resolved?.digest === digest) return this.#resolved.bytes;
    if (size > registryLimits.documentBytes) {
      throw fault(
        "RESOURCE_EXHAUSTED",
        `cannot pull "${canonicalName(this.reference)}": document "${digest}" has ${size} bytes, more than ${registryLimits.documentBytes}`,
      );
    }
    const isManifest = isKnownManifest(mediaType);
    const path = `${isManifest ? "manifests" : "blobs"}/${digest}`;
    return this.#patiently(() => this.#documentOnce(path, { digest, size }, call), call);
  }

  async #documentOnce(
    path: string,
    { digest, size }: Pick<Descriptor, "digest" | "size">,
    call: Cancellable,
  ): Promise<Buffer> {
    return this.#turns.first(pulls, call, async (server, isLast) => {
      const windowMs = this.#documentMs(isLast);
      const asked = { path, redirects: "any", maxBytes: size, windowMs } as const;
      const { body } = await this.#read(server, asked, call);
      const found = digestOf(body, algorithmOf(digest));
      if (found !== digest) throw this.#wrongDigest(server, found, digest);
      if (body.length !== size) {
        throw fault(
          "FAILED_PRECONDITION",
          `${this.#from(server)}: "${digest}" has ${body.length} bytes, its descriptor says ${size}`,
        );
      }
      return body;
    });
  }

  /**
   * Opens a blob for what comes from `offset` on. Hosts of `failed` are left out, and those that tell of another length.
   * When no other is there, what all said is thrown.
   */
  async blob(
    descriptor: Descriptor,
    offset: number,
    failed: HostFailures,
    call: Cancellable,
  ): Promise<OpenBlob> {
    const { digest, size } = descriptor;
    const path = `blobs/${digest}`;
    const open = async (server: Server, isLast: boolean): Promise<OpenBlob> => {
      const { host } = server;
      const answerMs = isLast ? this.#lastAnswerMs : this.#answerMs;
      const ask = { method: "GET", redirects: "any", answerMs, headers: uncoded } as const;
      if (offset > 0) {
        const headers = { ...uncoded, range: `bytes=${offset}-` };
        const asked = { ...ask, headers, tolerated: [416] };
        const answer = await this.#ask(server, path, asked, call).catch(unlessRangeRefused);
        const part = answer && answer.status !== 416 ? partOf(answer, offset, size) : undefined;
        if (answer && part && (part.total ?? size) === size) {
          return { answer, start: part.start, host };
        }
        await answer?.discard(); // without a range it may still give the blob, or tell more
      }
      const answer = await this.#ask(server, path, ask, call);
      const part = partOf(answer, 0, size);
      if (part && (part.total ?? size) === size) return { answer, start: 0, host };
      await answer.discard();
      throw fault(
        "FAILED_PRECONDITION",
        part?.total === undefined
          ? `"${digest}" is answered by another part of it than was asked for`
          : `"${digest}" has ${part.total} bytes, its descriptor says ${size}`,
      );
    };
    return this.#turns.first(pulls, call, open, failed);
  }

  /** The hosts that may be asked for blobs, in their order. */
  get hosts(): readonly RegistryHost[] {
    return this.#servers.map(({ host }) => host).filter(pulls);
  }

  /** How many they are: one that may speak TLS or not is one. */
  get sources(): number {
    return this.hosts.filter(({ plainOf }) => plainOf === undefined).length;
  }

  /** One error for what these hosts said. */
  failure(failures: HostFailures): RuntimeFault {
    return this.#turns.failure(failures);
  }

  /**
   * Settles when the registry would give us the blob, and rejects with its refusal otherwise. Nothing is downloaded.
   */
  assertReadable(digest: Digest, call: Cancellable): Promise<void> {
    return this.#patiently(() => this.#assertReadableOnce(digest, call), call);
  }

  async #assertReadableOnce(digest: Digest, call: Cancellable): Promise<void> {
    const path = `blobs/${digest}`;
    await this.#turns.first(pulls, call, async (server) => {
      // A redirect means yes; its target may not allow HEAD, so it is not followed.
      const ask = { headers: {}, redirects: "none", answerMs: this.#answerMs } as const;
      const redirected = { ...ask, tolerated: redirectStatuses };
      if (await this.#head(server, path, redirected, call)) return;
      const get = await this.#ask(server, path, { ...redirected, method: "GET" }, call);
      get.body.destroy();
    });
  }

  [Symbol.dispose](): void {
    for (const { client } of this.#servers) client[Symbol.dispose]();
  }

  #patiently<T>(work: () => Promise<T>, { signal }: Cancellable): Promise<T> {
    return patiently(work, { patience: this.patience, signal });
  }

  get #answerMs(): number {
    return within(registryLimits.answerMs, this.#options.progressTimeoutMs);
  }

  /** A proxy may hold back its answer while it asks its own registry: the last host gets more time. */
  #documentMs(isLast: boolean): number {
    if (!isLast) return this.#answerMs;
    return within(registryLimits.documentMs, this.#options.progressTimeoutMs);
  }

  get #lastAnswerMs(): number {
    return this.#options.progressTimeoutMs || registryLimits.blobAnswerMs;
  }

  /**
   * Undefined where HEAD is refused in whatever way: a GET decides then. Some registries do not know it, some want
   * other rights for it, and stores that are redirected to sign a GET alone.
   */
  async #head(
    server: Server,
    path: string,
    ask: Omit<Ask, "method">,
    call: Cancellable,
  ): Promise<HttpAnswer | undefined> {
    if (this.#headless.has(server)) return undefined;
    try {
      const answer = await this.#ask(server, path, { ...ask, method: "HEAD" }, call);
      await answer.discard();
      return answer;
    } catch (error) {
      if (!isFault(error) || !(isRefusal(error) || isPassing(error))) throw error;
      this.#headless.add(server);
      // One that is busy is not to be asked at once.
      const { status } = error.details ?? {};
      if (status === 429 || retryAfterOf(error) > 0) throw error;
      if (isRefusal(error) || isUnreached(error)) return undefined;
      throw error;
    }
  }

  /** A whole body of at most `maxBytes`, within the time that a document may take. */
  async #read(
    server: Server,
    { path, redirects, maxBytes, windowMs }: DocumentAsk,
    { signal }: Cancellable,
  ): Promise<{ readonly body: Buffer; readonly contentType: string }> {
    using watch = new TransferWatch({
      what: `${this.#from(server)}: "${path}"`,
      windowMs,
      totalMs: registryLimits.documentMs,
    });
    const call = { signal: AbortSignal.any([signal, watch.signal]) };
    const ask = { method: "GET", headers: forManifest, redirects, answerMs: 0 } as const;
    const answer = await this.#ask(server, path, ask, call);
    const body = await readBody(
      { ...answer, body: plainBody(answer) },
      {
        maxBytes,
        ...call,
        received: (bytes) => watch.received(bytes),
        tooLong: () =>
          fault(
            "FAILED_PRECONDITION",
            `${this.#from(server)}: "${path}" is longer than ${maxBytes} bytes`,
          ),
      },
    );
    return { body, contentType: contentType(answer) };
  }

  /** One request, with a login when the host asks for one. Answers 2xx, or a `tolerated` status. */
  async #ask(
    server: Server,
    path: string,
    { method, headers, redirects, tolerated = [], answerMs }: Ask,
    call: Cancellable,
  ): Promise<HttpAnswer> {
    const { host, client, authorizer } = server;
    const url = new URL(`${host.base}/${this.reference.repository}/${path}`);
    if (host.isMirror) url.searchParams.set("ns", this.reference.domain);
    let isStale = false;
    for (let attempt = 1; ; attempt += 1) {
      const authorization = authorizer.header;
      const answer = await client.request(url, {
        method,
        headers,
        ownHeaders: { ...host.headers, ...(authorization && { authorization }) },
        redirects,
        answerMs,
        ...call,
      });
      if (answer.status >= 200 && answer.status < 300) return answer;
      if (tolerated.includes(answer.status)) return answer;
      // Read before a login, which may go over the same connection then.
      const why = { asked: url, secrets: authorizer.secrets };
      const refusal = await refusalOf(answer, this.#from(server), why, call);
      const wantsLogin = answer.status === 401 || answer.status === 403;
      const login = { sent: authorization, isNew: attempt > 1 };
      if (wantsLogin && attempt < 3 && (await this.#learned(server, answer, login, call))) continue;
      const wasStale = isStale;
      isStale = isStaleRedirect(answer, url);
      // A store that refuses HEAD is left to GET.
      if (isStale && !wasStale && method === "GET") continue;
      throw refusal;
    }
  }

  async #learned(
    server: Server,
    answer: HttpAnswer,
    login: Login,
    call: Cancellable,
  ): Promise<boolean> {
    try {
      return await server.authorizer.learn(answer, login, call);
    } catch (error) {
      if (!isFault(error)) throw error;
      const { code, message, details } = error;
      throw fault(code, `${this.#from(server)}: ${message}`, {
        cause: error,
        ...(details && { details }),
      });
    }
  }

  #wrongDigest(server: Server, found: Digest, wanted?: Digest): RuntimeFault {
    const what = wanted === undefined ? "the manifest" : `"${wanted}"`;
    return fault(
      "FAILED_PRECONDITION",
      `${this.#from(server)}: ${what} arrived with digest ${found}`,
    );
  }

  #from({ host }: Server): string {
    return pullFrom(canonicalName(this.reference), host);
  }
}

/** Some servers know no ranges, and some stores sign addresses for whole blobs alone: they refuse in many ways. */
function unlessRangeRefused(error: unknown): undefined {
  if (!isFault(error) || !isRefusal(error)) throw error;
  const status = Number(error.details?.["status"]);
  if (isPassingStatus(status)) throw error;
}

const forManifest = { accept: acceptedManifests, ...uncoded };

function contentType({ headers }: HttpAnswer): string {
  const [type = ""] = (headers["content-type"] ?? "").split(";", 1);
  return type.trim().toLowerCase();
}
