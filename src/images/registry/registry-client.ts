// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { type FaultCode, fault, isFault, RuntimeFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { digestOf, isDigest } from "../../content/digest.ts";
import type { Digest } from "../../content/ports.ts";
import type { Descriptor } from "../manifest/documents.ts";
import { acceptedManifests } from "../manifest/media-types.ts";
import { canonicalName, type Reference } from "../reference.ts";
import { Authorizer } from "./authorizer.ts";
import type { Credentials } from "./credentials.ts";
import type { RegistryHost } from "./hosts.ts";
import { type HttpAnswer, HttpClient, readBody } from "./http-client.ts";

export const maxManifestBytes = 16 * 1024 * 1024;

export interface RegistryClientOptions {
  readonly reference: Reference;
  /** In the order to ask. */
  readonly hosts: readonly RegistryHost[];
  readonly credentials: Credentials;
  readonly log: Logger;
}

interface Server {
  readonly host: RegistryHost;
  readonly client: HttpClient;
  readonly authorizer: Authorizer;
}

type Ask = { readonly method: "GET" | "HEAD"; readonly headers: Readonly<Record<string, string>> };

/**
 * Reads one repository through its hosts, for the time of one pull. A host that cannot answer is
 * passed over for the next; when none can, the last one's error counts: it is the registry's own.
 *
 * Errors name host and reference: NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE.
 */
export class RegistryClient implements Disposable {
  readonly #reference: Reference;
  readonly #servers: readonly Server[];
  readonly #log: Logger;

  private constructor({ reference, log }: RegistryClientOptions, servers: readonly Server[]) {
    this.#reference = reference;
    this.#servers = servers;
    this.#log = log;
  }

  static async create(options: RegistryClientOptions): Promise<RegistryClient> {
    const { reference, hosts, credentials } = options;
    const scope = `repository:${reference.repository}:pull`;
    using made = new DisposableStack();
    const servers: Server[] = [];
    for (const host of hosts) {
      const client = made.use(await HttpClient.create(host));
      servers.push({ host, client, authorizer: new Authorizer(client, credentials, scope) });
    }
    made.move();
    return new RegistryClient(options, servers);
  }

  /** What the reference means now: a manifest or an index. */
  async resolve(call: Cancellable): Promise<Descriptor> {
    const { tag, digest } = this.#reference;
    const path = `manifests/${digest ?? tag}`;
    return this.#fromAny("canResolve", async (server) => {
      const head = await this.#ask(
        server,
        path,
        { method: "HEAD", headers: forManifest },
        call,
        [405],
      );
      head.discard();
      const stated = head.headers["docker-content-digest"];
      const mediaType = contentType(head);
      const size = Number(head.headers["content-length"]);
      const named = digest ?? (typeof stated === "string" ? stated : "");
      if (head.status === 200 && isDigest(named) && mediaType !== "" && size > 0) {
        return { mediaType, digest: named, size, annotations: {} };
      }
      const get = await this.#ask(server, path, { method: "GET", headers: forManifest }, call);
      const body = await readBody(get, maxManifestBytes);
      return {
        mediaType: contentType(get),
        digest: digestOf(body),
        size: body.length,
        annotations: {},
      };
    });
  }

  /** A manifest's or an index's bytes. The caller checks the digest. */
  async manifest(digest: Digest, call: Cancellable): Promise<Buffer> {
    return this.#fromAny("canPull", async (server) => {
      const ask = { method: "GET", headers: forManifest } as const;
      const answer = await this.#ask(server, `manifests/${digest}`, ask, call);
      return readBody(answer, maxManifestBytes);
    });
  }

  /** Opens a blob from an offset; `offset` of the answer is where it really starts. */
  async blob(
    digest: Digest,
    offset: number,
    call: Cancellable,
  ): Promise<{ readonly answer: HttpAnswer; readonly offset: number }> {
    return this.#fromAny("canPull", async (server) => {
      const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
      const path = `blobs/${digest}`;
      const answer = await this.#ask(server, path, { method: "GET", headers }, call, [416]);
      if (answer.status !== 416) return { answer, offset: startOf(answer) };
      answer.discard();
      const whole = await this.#ask(server, path, { method: "GET", headers: {} }, call);
      return { answer: whole, offset: 0 };
    });
  }

  [Symbol.dispose](): void {
    for (const { client } of this.#servers) client[Symbol.dispose]();
  }

  async #fromAny<T>(
    capability: "canResolve" | "canPull",
    ask: (server: Server) => Promise<T>,
  ): Promise<T> {
    const able = this.#servers.filter(({ host }) => host[capability]);
    const last = able.at(-1);
    if (!last) {
      throw fault("FAILED_PRECONDITION", `no host is configured for "${this.#reference.domain}"`);
    }
    for (const server of able.slice(0, -1)) {
      try {
        return await ask(server);
      } catch (error) {
        if (!(error instanceof RuntimeFault)) throw error;
        this.#log.debug({ host: server.host.base, err: error }, "registry host passed over");
      }
    }
    return ask(last);
  }

  /** One question, with a login when the host asks for one. Answers 2xx, or a `tolerated` status. */
  async #ask(
    { host, client, authorizer }: Server,
    path: string,
    { method, headers }: Ask,
    call: Cancellable,
    tolerated: readonly number[] = [],
  ): Promise<HttpAnswer> {
    const url = new URL(`${host.base}/${this.#reference.repository}/${path}`);
    if (host.isMirror) url.searchParams.set("ns", this.#reference.domain);
    for (let attempt = 1; ; attempt += 1) {
      const authorization = authorizer.header;
      const answer = await client.request(url, {
        method,
        headers: { ...host.headers, ...headers, ...(authorization && { authorization }) },
        ...call,
      });
      if (answer.status >= 200 && answer.status < 300) return answer;
      if (tolerated.includes(answer.status)) return answer;
      const isNewcomer = answer.status === 401 && attempt < 3;
      if (isNewcomer && (await this.#learned(authorizer, answer, authorization, url, call))) {
        continue;
      }
      throw await this.#refusal(answer, url);
    }
  }

  async #learned(
    authorizer: Authorizer,
    answer: HttpAnswer,
    sent: string | undefined,
    url: URL,
    call: Cancellable,
  ): Promise<boolean> {
    try {
      return await authorizer.learn(answer, sent, call);
    } catch (error) {
      if (!isFault(error)) throw error;
      throw fault(error.code, `${this.#what(url)}: ${error.message}`, { cause: error });
    }
  }

  async #refusal(answer: HttpAnswer, url: URL): Promise<Error> {
    const said = await registryMessage(answer);
    const { status } = answer;
    const why =
      status === 404
        ? "not found"
        : status === 401
          ? "authentication required"
          : status === 403
            ? "access denied"
            : `status ${status}`;
    return fault(codeOf(status), `${this.#what(url)}: ${why}${said && `: ${said}`}`, {
      details: { status },
    });
  }

  #what(url: URL): string {
    return `cannot pull "${canonicalName(this.#reference)}" from "${url.host}"`;
  }
}

const forManifest = { accept: acceptedManifests };

function codeOf(status: number): FaultCode {
  if (status === 401) return "UNAUTHENTICATED";
  if (status === 403) return "PERMISSION_DENIED";
  if (status === 404) return "NOT_FOUND";
  return status === 429 || status >= 500 ? "UNAVAILABLE" : "UNKNOWN";
}

function contentType({ headers }: HttpAnswer): string {
  return (headers["content-type"] ?? "").replace(/;.*$/, "").trim();
}

/** Where the body starts: a server may ignore Range, and a proxy may serve another one. */
function startOf(answer: HttpAnswer): number {
  if (answer.status !== 206) return 0;
  const match = /^bytes (\d+)-/.exec(answer.headers["content-range"] ?? "");
  if (!match) throw fault("UNAVAILABLE", "the registry answered a part without saying which");
  return Number(match[1]);
}

/** The first message of a registry's error body; "" when there is none. */
async function registryMessage(answer: HttpAnswer): Promise<string> {
  try {
    const body = JSON.parse((await readBody(answer, 64 * 1024)).toString("utf8")) as {
      readonly errors?: readonly { readonly message?: unknown }[];
    };
    const message = body.errors?.[0]?.message;
    return typeof message === "string" ? message.slice(0, 256) : "";
  } catch {
    return "";
  }
}
