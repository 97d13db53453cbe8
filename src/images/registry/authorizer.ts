// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { basic, type Credentials } from "./credentials.ts";
import { type HttpAnswer, type HttpClient, readBody } from "./http-client.ts";

const maxTokenBytes = 1024 * 1024;
const tokenAnswer = z.object({ token: z.string().optional(), access_token: z.string().optional() });

/**
 * Logs in to one registry host for one pull: learns from the first 401 how, keeps what it got, and
 * learns anew when that no longer counts. Many downloads share it; they ask for one token, not many.
 */
export class Authorizer {
  readonly #client: HttpClient;
  readonly #credentials: Credentials;
  readonly #scope: string;
  #header: string | undefined;
  #learning: Promise<string | undefined> | undefined;

  /** `scope` is used where the challenge names none: `repository:library/busybox:pull`. */
  constructor(client: HttpClient, credentials: Credentials, scope: string) {
    this.#client = client;
    this.#credentials = credentials;
    this.#scope = scope;
    if (credentials.kind === "registry") this.#header = `Bearer ${credentials.token}`;
  }

  /** The header to send; undefined until a registry has asked for one. */
  get header(): string | undefined {
    return this.#header;
  }

  /**
   * Takes a 401 and answers whether another attempt is worth it. `sent` is the header that was
   * refused: when another download has got a new one since, that is the one to try.
   */
  async learn(answer: HttpAnswer, sent: string | undefined, call: Cancellable): Promise<boolean> {
    answer.discard();
    if (this.#header !== sent) return this.#header !== undefined;
    const offered = parseChallenges(answer.headers["www-authenticate"] ?? "");
    this.#learning ??= this.#logIn(offered, call).finally(() => {
      this.#learning = undefined;
    });
    const header = await this.#learning;
    if (header === undefined || header === sent) return false;
    this.#header = header;
    return true;
  }

  async #logIn(offered: readonly Challenge[], call: Cancellable): Promise<string | undefined> {
    if (this.#credentials.kind === "registry") return undefined;
    const bearer = offered.find(({ scheme }) => scheme === "bearer");
    if (bearer) return `Bearer ${await this.#token(bearer, call)}`;
    const takesBasic = offered.some(({ scheme }) => scheme === "basic");
    if (!takesBasic || this.#credentials.kind !== "password") return undefined;
    return basic(this.#credentials.username, this.#credentials.password);
  }

  async #token({ parameters }: Challenge, call: Cancellable): Promise<string> {
    const realm = URL.parse(parameters["realm"] ?? "");
    if (realm === null || !/^https?:$/.test(realm.protocol)) {
      throw fault("UNAUTHENTICATED", "the registry names no place to get a token");
    }
    const asked = {
      service: parameters["service"] ?? "",
      scope: parameters["scope"] ?? this.#scope,
    };
    const answer = await this.#askToken(realm, asked, call);
    const body = await readBody(answer, maxTokenBytes);
    if (answer.status !== 200) throw tokenFault(answer.status, realm);
    let parsed: z.infer<typeof tokenAnswer>;
    try {
      parsed = tokenAnswer.parse(JSON.parse(body.toString("utf8")));
    } catch (error) {
      throw fault("UNAUTHENTICATED", `"${realm.host}" answered no token`, { cause: error });
    }
    const token = parsed.token || parsed.access_token;
    if (!token) throw fault("UNAUTHENTICATED", `"${realm.host}" answered no token`);
    return token;
  }

  /** GET as Docker does; POST as OAuth 2 for identity tokens, and where GET is not known. */
  async #askToken(realm: URL, asked: TokenQuestion, call: Cancellable): Promise<HttpAnswer> {
    if (this.#credentials.kind === "identity") return this.#post(realm, asked, call);
    const url = new URL(realm);
    if (asked.service !== "") url.searchParams.set("service", asked.service);
    for (const scope of asked.scope.split(" ")) url.searchParams.append("scope", scope);
    const headers: Record<string, string> = {};
    if (this.#credentials.kind === "password") {
      const { username, password } = this.#credentials;
      url.searchParams.set("account", username);
      headers["authorization"] = basic(username, password);
    }
    const answer = await this.#client.request(url, { method: "GET", headers, ...call });
    if (this.#credentials.kind !== "password" || ![400, 404, 405].includes(answer.status)) {
      return answer;
    }
    answer.discard();
    return this.#post(realm, asked, call);
  }

  #post(realm: URL, { service, scope }: TokenQuestion, call: Cancellable): Promise<HttpAnswer> {
    const form = new URLSearchParams({ client_id: "berthd", service, scope });
    if (this.#credentials.kind === "identity") {
      form.set("grant_type", "refresh_token");
      form.set("refresh_token", this.#credentials.token);
    } else if (this.#credentials.kind === "password") {
      form.set("grant_type", "password");
      form.set("username", this.#credentials.username);
      form.set("password", this.#credentials.password);
    }
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    return this.#client.request(realm, { method: "POST", headers, body: form.toString(), ...call });
  }
}

interface TokenQuestion {
  readonly service: string;
  readonly scope: string;
}

function tokenFault(status: number, realm: URL): Error {
  const code =
    status === 403 ? "PERMISSION_DENIED" : status >= 500 ? "UNAVAILABLE" : "UNAUTHENTICATED";
  return fault(code, `"${realm.host}" refuses a token: status ${status}`);
}
