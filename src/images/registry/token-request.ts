// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, type RuntimeFault } from "../../base/errors.ts";
import { fieldsOf } from "../manifest/go-json.ts";
import { plainBody } from "./content-coding.ts";
import { basic, type Credentials, secretsOf } from "./credentials.ts";
import { type HostHeaders, secretsIn } from "./host-headers.ts";
import { type HttpAnswer, readBody } from "./http-answer.ts";
import type { HttpClient, HttpRequest } from "./http-client.ts";
import { registryLimits, within } from "./limits.ts";
import { isPassingStatus, passing } from "./patience.ts";
import { waitOf, wordsOf } from "./refusal.ts";
import { ofRegistry } from "./registry-fault.ts";
import { TransferWatch } from "./transfer-watch.ts";

export interface TokenRequest {
  readonly client: HttpClient;
  readonly realm: URL;
  /** "" for none. */
  readonly service: string;
  readonly scopes: readonly string[];
  readonly credentials: Credentials;
  /** What the operator has set for this server. */
  readonly ownHeaders: HostHeaders;
  /** The operator's limit; 0 for none. */
  readonly progressTimeoutMs: number;
}

/** Answers of token servers that want the other method, as far as one can tell: many answer 401 to it. */
const otherMethod: readonly number[] = [400, 401, 404, 405, 501];
/** Of these, the ones that say nothing of the credentials. */
const unknownMethod: readonly number[] = [404, 405, 501];

/**
 * Gets an access token: by GET, as Docker does, else by OAuth's POST; with an identity token the other way round. Never
 * in both ways where the first one's answer was a token, or no answer. Without credentials by GET alone: whoever names
 * the realm, a registry that nobody trusts, must not have us POST to an address of its choice. Errors name the token
 * server and quote it, but no secret: UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE, and those of the client.
 */
export async function requestToken(
  request: TokenRequest,
  { signal }: Cancellable,
): Promise<string> {
  const { realm, credentials, progressTimeoutMs } = request;
  using watch = new TransferWatch({
    what: `token of "${realm.host}"`,
    windowMs: within(registryLimits.answerMs, progressTimeoutMs),
    totalMs: registryLimits.documentMs,
  });
  const call = { signal: AbortSignal.any([signal, watch.signal]) };
  let refusal: RuntimeFault | undefined;
  for (const way of waysFor(credentials)) {
    const answer = await ask(request, way(request), call);
    const { status } = answer;
    if (status >= 200 && status < 300) return await tokenIn(answer, watch, call);
    const found = await tokenFault(answer, request, call);
    if (refusal === undefined || !unknownMethod.includes(status)) refusal = found;
    if (!otherMethod.includes(status)) break;
  }
  throw refusal ?? fault("INTERNAL", "no token was asked for");
}

function waysFor({ kind }: Credentials): readonly ((request: TokenRequest) => Way)[] {
  if (kind === "identity") return [post, get];
  return kind === "password" ? [get, post] : [get];
}

type Way = Pick<HttpRequest, "method" | "body" | "ownHeaders"> & { readonly url: URL };

function ask(
  { client, credentials, ownHeaders: set, progressTimeoutMs }: TokenRequest,
  { url, ownHeaders, ...way }: Way,
  call: Cancellable,
): Promise<HttpAnswer> {
  const answerMs = within(registryLimits.answerMs, progressTimeoutMs);
  const { authorization: _login, ...others } = set;
  // Of two logins the pull's own counts, in whatever way it is sent.
  const all = { ...(credentials.kind === "anonymous" ? set : others), ...ownHeaders };
  const request = { ...way, headers: {}, ownHeaders: all, answerMs, redirects: "safe" } as const;
  return client.request(url, { ...request, ...call });
}

function get({ realm, service, scopes, credentials }: TokenRequest): Way {
  const url = new URL(realm);
  if (service !== "") url.searchParams.set("service", service);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  if (credentials.kind !== "password" && credentials.kind !== "identity") {
    return { method: "GET", url };
  }
  const { username } = credentials;
  if (username !== "") url.searchParams.set("account", username);
  const secret = credentials.kind === "password" ? credentials.password : credentials.token;
  return { method: "GET", url, ownHeaders: { authorization: basic(username, secret) } };
}

function post({ realm, service, scopes, credentials }: TokenRequest): Way {
  const form = new URLSearchParams({ client_id: "berthd" });
  if (service !== "") form.set("service", service);
  if (scopes.length > 0) form.set("scope", scopes.join(" "));
  if (credentials.kind === "identity") {
    form.set("grant_type", "refresh_token");
    form.set("refresh_token", credentials.token);
  } else if (credentials.kind === "password") {
    form.set("grant_type", "password");
    form.set("username", credentials.username);
    form.set("password", credentials.password);
  }
  const ownHeaders = { "content-type": "application/x-www-form-urlencoded" };
  return { method: "POST", url: realm, ownHeaders, body: form.toString() };
}

async function tokenIn(
  answer: HttpAnswer,
  watch: TransferWatch,
  call: Cancellable,
): Promise<string> {
  const received = watch.received.bind(watch);
  // Some compress it without being asked to.
  const plain = { ...answer, body: plainBody(answer) };
  const body = await readBody(plain, { maxBytes: registryLimits.tokenBytes, received, ...call });
  const token = tokenOf(body);
  if (token === undefined) throw fault("UNAUTHENTICATED", `"${answer.url.host}" answered no token`);
  return token;
}

/** Undefined for an answer without a token, or with one that no header can hold. No error quotes it. */
function tokenOf(body: Buffer): string | undefined {
  let document: unknown;
  try {
    document = JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
  const { token, access_token } = fieldsOf(document, ["token", "access_token"]);
  // Of two the one that containerd takes.
  const found = [access_token, token].find((one) => typeof one === "string" && one !== "");
  return typeof found === "string" && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
}

async function tokenFault(
  answer: HttpAnswer,
  { realm, credentials, ownHeaders }: TokenRequest,
  call: Cancellable,
): Promise<RuntimeFault> {
  const { status } = answer;
  const secrets = [...secretsOf(credentials), ...secretsIn(ownHeaders)];
  const said = await wordsOf(answer, secrets, call);
  const isBusy = isPassingStatus(status);
  const isBroken = isBusy || status >= 500;
  const code = status === 403 ? "PERMISSION_DENIED" : isBroken ? "UNAVAILABLE" : "UNAUTHENTICATED";
  const message = `"${realm.host}" refuses a token: status ${status}${said && `: ${said}`}`;
  return fault(code, message, {
    details: { ...ofRegistry, ...(isBusy && passing(waitOf(answer))) },
  });
}
