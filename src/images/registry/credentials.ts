// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { trimEndOf } from "../../base/trim-end.ts";
import type { RegistryAuth } from "../ports.ts";
import type { RegistryHost } from "./hosts.ts";
import { isSameRegistry } from "./registry-name.ts";

/** What a pull may show to a registry. */
export type Credentials =
  | { readonly kind: "anonymous" }
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  /** Traded for an access token. */
  | { readonly kind: "identity"; readonly username: string; readonly token: string }
  /** An access token itself. */
  | { readonly kind: "registry"; readonly token: string };

export const anonymous: Credentials = { kind: "anonymous" };

/**
 * CRI's AuthConfig, for one of the hosts that stand for `domain`. It is for the registry that it names,
 * else for the image's own, and for nobody else: a mirror gets it only when it is named itself.
 */
export function credentialsFor(
  auth: RegistryAuth | undefined,
  domain: string,
  host: Pick<RegistryHost, "base" | "isOrigin">,
): Credentials {
  if (auth === undefined) return anonymous;
  const named = auth.serverAddress ? authorityOf(auth.serverAddress) : domain;
  const isNamed = isSameRegistry(named, new URL(host.base));
  const isOriginNamed = host.isOrigin && isSameRegistry(named, registryUrl(domain, host.base));
  return isNamed || isOriginNamed ? readCredentials(auth) : anonymous;
}

/**
 * What an AuthConfig holds. Order of preference: registry token, identity token, user and password,
 * `auth`. INVALID_ARGUMENT for a broken `auth`.
 */
export function readCredentials(auth: RegistryAuth): Credentials {
  if (auth.registryToken) return { kind: "registry", token: auth.registryToken };
  if (auth.identityToken) {
    return { kind: "identity", username: auth.username ?? "", token: auth.identityToken };
  }
  if (auth.username) {
    return { kind: "password", username: auth.username, password: auth.password ?? "" };
  }
  return auth.auth ? decode(auth.auth) : anonymous;
}

/** What no error may quote. */
export function secretsOf(credentials: Credentials): string[] {
  if (credentials.kind === "anonymous") return [];
  const isPassword = credentials.kind === "password";
  const secret = isPassword ? credentials.password : credentials.token;
  const login = basic("username" in credentials ? credentials.username : "", secret);
  return [secret, encodeURIComponent(secret), login.slice("Basic ".length)];
}

/** `Basic …` for a header. */
export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function decode(auth: string): Credentials {
  // Some clients pad the decoded text with NULs.
  const text = trimEndOf(Buffer.from(auth, "base64").toString("utf8"), "\0");
  const colon = text.indexOf(":");
  if (colon < 0) {
    throw fault("INVALID_ARGUMENT", "registry credentials are not base64 of user:password");
  }
  return { kind: "password", username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** `https://index.docker.io/v1/` → `index.docker.io`. */
function authorityOf(address: string): string {
  const [authority = ""] = address.replace(/^[a-z]+:\/\//i, "").split("/", 1);
  return authority;
}

/** The image's own registry as the host's scheme would reach it. */
function registryUrl(domain: string, base: string): URL {
  return new URL(`${new URL(base).protocol}//${domain}`);
}
