// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, RuntimeFault } from "../../base/errors.ts";
import { SingleFlight } from "../../base/single-flight.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { basic, type Credentials, secretsOf } from "./credentials.ts";
import { type HostHeaders, headersForTokens, secretsIn } from "./host-headers.ts";
import type { HttpAnswer } from "./http-answer.ts";
import type { HttpClient } from "./http-client.ts";
import { isPassing } from "./patience.ts";
import { isSameServer } from "./same-server.ts";
import { requestToken } from "./token-request.ts";

export interface AuthorizerOptions {
  readonly client: HttpClient;
  /** Of the registry host that is asked. */
  readonly origin: URL;
  /** What the operator has set for that host. */
  readonly headers: HostHeaders;
  /** What this host may be shown. */
  readonly credentials: Credentials;
  /** `library/busybox`. */
  readonly repository: string;
  /** What is done with it: `pull`, which is all that is meant without it, or `pull,push`. */
  readonly actions?: string;
  /** Further repositories that are read. */
  readonly reads?: readonly string[];
  /** The operator's limit; 0 for none. */
  readonly progressTimeoutMs: number;
}

/** What was sent with a request that was refused. */
export interface Login {
  readonly sent: string | undefined;
  /** True where it was learnt for this very request. */
  readonly isNew: boolean;
}

/** Ways to log in that are tried of those that a 401 offers. */
const mostWays = 3;

/**
 * Logs in to one registry host for one pull: learns how from the first 401, keeps the token, and asks for a new one
 * when it is refused. Many downloads share it; they ask for one token, not many.
 */
export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #logins = new SingleFlight<string | undefined>({ abandonWhenUnwatched: true });
  #header: string | undefined;

  constructor(options: AuthorizerOptions) {
    this.#options = options;
    const { credentials } = options;
    if (credentials.kind === "registry") this.#header = `Bearer ${credentials.token}`;
  }

  /** The header to send; undefined until a registry has asked for one. */
  get header(): string | undefined {
    return this.#header;
  }

  /** What no error may quote. */
  get secrets(): string[] {
    const { credentials, headers } = this.#options;
    const sent = this.#header?.split(" ").at(-1) ?? "";
    return [...secretsOf(credentials), ...secretsIn(headers), sent];
  }

  /**
   * Takes an answer that wants a login, and answers whether another attempt is worth it. When another download has got
   * a newer header since the one that was sent, that is the one to try. After a new one another way comes first.
   */
  async learn(answer: HttpAnswer, { sent, isNew }: Login, call: Cancellable): Promise<boolean> {
    // The target of a redirect must not decide where credentials go.
    if (!isSameServer(this.#options.origin, answer.url)) return false;
    const offered = challengesOf(answer);
    if (answer.status !== 401 && !offered.some(wantsMore)) return false;
    if (this.#header !== sent) return this.#header !== undefined;
    const refused = sent === undefined ? {} : { sent, isNew };
    const header = await this.#logins.join("", (own) => this.#logIn(offered, refused, own), call);
    if (header === undefined || header === sent) return false;
    this.#header = header;
    return true;
  }

  async #logIn(
    offered: readonly Challenge[],
    { sent, isNew = false }: { readonly sent?: string; readonly isNew?: boolean },
    call: Cancellable,
  ): Promise<string | undefined> {
    const { credentials } = this.#options;
    if (credentials.kind === "registry") return undefined;
    const bearers = offered.filter(({ scheme }) => scheme === "bearer");
    const basics = offered.filter(({ scheme }) => scheme === "basic").slice(0, 1);
    const isBearerRefused = isNew && sent?.startsWith("Bearer ") && !offered.some(wantsMore);
    const ways = isBearerRefused ? [...basics, ...bearers] : [...bearers, ...basics];
    let refusal: RuntimeFault | undefined;
    for (const way of ways.slice(0, mostWays)) {
      try {
        const header = await this.#headerBy(way, call);
        if (header !== undefined && header !== sent) return header;
      } catch (error) {
        if (call.signal.aborted || isPassing(error)) throw error;
        if (!(error instanceof RuntimeFault)) throw error;
        refusal ??= error;
      }
    }
    if (refusal) throw refusal;
    return undefined;
  }

  async #headerBy(
    { scheme, parameters }: Challenge,
    call: Cancellable,
  ): Promise<string | undefined> {
    const { client, credentials, headers, origin, progressTimeoutMs } = this.#options;
    if (scheme === "basic") {
      if (credentials.kind !== "password") return undefined;
      return basic(credentials.username, credentials.password);
    }
    const realm = this.#realm(parameters["realm"] ?? "");
    const service = parameters["service"] ?? "";
    const scopes = this.#scopes(parameters["scope"] ?? "");
    const ownHeaders = headersForTokens(headers, origin, realm);
    const asked = { client, realm, service, scopes, credentials, ownHeaders, progressTimeoutMs };
    return `Bearer ${await requestToken(asked, call)}`;
  }

  /** What the challenge names, and the repository itself where that is not among it. */
  #scopes(text: string): string[] {
    const { repository, actions, reads = [] } = this.#options;
    const named = text.split(" ").filter((scope) => scope !== "");
    const own = `repository:${repository}:`;
    if (actions === undefined) {
      const isNamed = named.some((scope) => scope.startsWith(own));
      return [...new Set(isNamed ? named : [...named, `${own}pull`])];
    }
    // One token for all that will be asked, not only for the question that was refused.
    const others = named.filter((scope) => !scope.startsWith(own));
    const wanted = [`${own}${actions}`, ...reads.map((name) => `repository:${name}:pull`)];
    return [...new Set([...wanted, ...others])];
  }

  /** The registry says where tokens come from; an https registry must not send us to http. */
  #realm(text: string): URL {
    const { credentials, origin } = this.#options;
    const realm = text === "" ? null : URL.parse(text, origin.origin);
    if (realm === null || !/^https?:$/.test(realm.protocol)) {
      throw fault("UNAUTHENTICATED", "the registry names no place to get a token");
    }
    const isPlain = realm.protocol === "http:" && origin.protocol === "https:";
    if (isPlain && credentials.kind !== "anonymous") {
      throw fault(
        "UNAUTHENTICATED",
        `the registry gets its tokens by plain http from "${realm.host}": credentials are not sent there`,
      );
    }
    return realm;
  }
}

function challengesOf({ body }: HttpAnswer): Challenge[] {
  return parseChallenges(...(body.headersDistinct["www-authenticate"] ?? []));
}

/** Whether a token is refused because it is for less than what is asked for: such an answer may be a 403, too. */
function wantsMore({ scheme, parameters }: Challenge): boolean {
  return scheme === "bearer" && parameters["error"]?.toLowerCase() === "insufficient_scope";
}
