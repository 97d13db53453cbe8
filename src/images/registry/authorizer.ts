// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { SingleFlight } from "../../base/single-flight.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { basic, type Credentials } from "./credentials.ts";
import { type HttpAnswer, readBody } from "./http-answer.ts";
import type { HttpClient } from "./http-client.ts";
import { registryLimits, within } from "./limits.ts";
import { isPassingStatus, passing } from "./patience.ts";
import { waitOf } from "./refusal.ts";
import { TransferWatch } from "./transfer-watch.ts";

const tokenAnswer = z.object({ token: z.string().optional(), access_token: z.string().optional() });

export interface AuthorizerOptions {
  readonly client: HttpClient;
  /** Of the registry host that is asked. */
  readonly origin: URL;
  /** What this host may be shown. */
  readonly credentials: Credentials;
  /** Used where the challenge names none: `repository:library/busybox:pull`. */
  readonly scope: string;
  /** The operator's limit; 0 for none. */
  readonly progressTimeoutMs: number;
}

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

  /**
   * Takes a 401 and answers whether another attempt is worth it. `sent` is the header that was refused: when another
   * download has got a newer one since, that is the one to try.
   */
  async learn(answer: HttpAnswer, sent: string | undefined, call: Cancellable): Promise<boolean> {
    // The target of a redirect must not decide where credentials go.
    if (answer.url.origin !== this.#options.origin.origin) return false;
    if (this.#header !== sent) return this.#header !== undefined;
    const offered = parseChallenges(answer.headers["www-authenticate"] ?? "");
    const header = await this.#logins.join("", (own) => this.#logIn(offered, own), call);
    if (header === undefined || header === sent) return false;
    this.#header = header;
    return true;
  }

  async #logIn(offered: readonly Challenge[], call: Cancellable): Promise<string | undefined> {
    const { credentials } = this.#options;
    if (credentials.kind === "registry") return undefined;
    const bearer = offered.find(({ scheme }) => scheme === "bearer");
    if (bearer) return `Bearer ${await this.#token(bearer, call)}`;
    const takesBasic = offered.some(({ scheme }) => scheme === "basic");
    if (!takesBasic || credentials.kind !== "password") return undefined;
    return basic(credentials.username, credentials.password);
  }

  async #token({ parameters }: Challenge, { signal }: Cancellable): Promise<string> {
    const realm = this.#realm(parameters["realm"] ?? "");
    const what = `token of "${realm.host}"`;
    const { answerMs: windowMs } = this.#limits;
    using watch = new TransferWatch({ what, windowMs, totalMs: registryLimits.documentMs });
    const call = { signal: AbortSignal.any([signal, watch.signal]) };
    const asked = {
      service: parameters["service"] ?? "",
      scope: parameters["scope"] ?? this.#options.scope,
    };
    const answer = await this.#askToken(realm, asked, call);
    if (answer.status !== 200) {
      answer.discard();
      throw tokenFault(answer, realm);
    }
    const received = watch.received.bind(watch);
    const body = await readBody(answer, { maxBytes: registryLimits.tokenBytes, received, ...call });
    const token = tokenOf(body);
    if (token === undefined) throw fault("UNAUTHENTICATED", `"${realm.host}" answered no token`);
    return token;
  }

  /** The registry says where tokens come from; an https registry must not send us to http. */
  #realm(text: string): URL {
    const { credentials, origin } = this.#options;
    const realm = URL.parse(text);
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

  /** GET as Docker does; POST as OAuth 2 for identity tokens, and where GET is not known. */
  async #askToken(realm: URL, asked: TokenQuestion, call: Cancellable): Promise<HttpAnswer> {
    const { client, credentials } = this.#options;
    if (credentials.kind === "identity") return this.#post(realm, asked, call);
    const url = new URL(realm);
    if (asked.service !== "") url.searchParams.set("service", asked.service);
    for (const scope of asked.scope.split(" ")) url.searchParams.append("scope", scope);
    let ownHeaders: Record<string, string> = {};
    if (credentials.kind === "password") {
      const { username, password } = credentials;
      url.searchParams.set("account", username);
      ownHeaders = { authorization: basic(username, password) };
    }
    const answer = await client.request(url, {
      method: "GET",
      headers: {},
      ownHeaders,
      ...this.#limits,
      ...call,
    });
    if (credentials.kind !== "password" || ![400, 404, 405].includes(answer.status)) {
      return answer;
    }
    answer.discard();
    return this.#post(realm, asked, call);
  }

  #post(realm: URL, { service, scope }: TokenQuestion, call: Cancellable): Promise<HttpAnswer> {
    const { client, credentials } = this.#options;
    const form = new URLSearchParams({ client_id: "berthd", service, scope });
    if (credentials.kind === "identity") {
      form.set("grant_type", "refresh_token");
      form.set("refresh_token", credentials.token);
    } else if (credentials.kind === "password") {
      form.set("grant_type", "password");
      form.set("username", credentials.username);
      form.set("password", credentials.password);
    }
    return client.request(realm, {
      method: "POST",
      headers: {},
      ownHeaders: { "content-type": "application/x-www-form-urlencoded" },
      body: form.toString(),
      ...this.#limits,
      ...call,
    });
  }

  get #limits() {
    const answerMs = within(registryLimits.answerMs, this.#options.progressTimeoutMs);
    return { answerMs, redirects: "safe" } as const;
  }
}

interface TokenQuestion {
  readonly service: string;
  readonly scope: string;
}

/** Undefined for an answer without a token, or with one that no header can hold. No error quotes it. */
function tokenOf(body: Buffer): string | undefined {
  try {
    const { token, access_token } = tokenAnswer.parse(JSON.parse(body.toString("utf8")));
    const found = token || access_token;
    return found && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

function tokenFault(answer: HttpAnswer, realm: URL): Error {
  const { status } = answer;
  const isBusy = isPassingStatus(status);
  const isBroken = isBusy || status >= 500;
  const code = status === 403 ? "PERMISSION_DENIED" : isBroken ? "UNAVAILABLE" : "UNAUTHENTICATED";
  return fault(code, `"${realm.host}" refuses a token: status ${status}`, {
    details: isBusy ? passing(waitOf(answer)) : {},
  });
}
