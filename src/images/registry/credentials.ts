// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { RegistryAuth } from "../ports.ts";

/** What a pull may show to a registry. */
export type Credentials =
  | { readonly kind: "anonymous" }
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  /** Traded for an access token. */
  | { readonly kind: "identity"; readonly token: string }
  /** An access token itself. */
  | { readonly kind: "registry"; readonly token: string };

/**
 * CRI's AuthConfig: it counts only for the registry it names, when it names one. Order of preference:
 * registry token, identity token, user and password, `auth`. INVALID_ARGUMENT for a broken `auth`.
 */
export function credentialsFor(auth: RegistryAuth | undefined, domain: string): Credentials {
  if (auth === undefined) return { kind: "anonymous" };
  if (auth.serverAddress && hostOf(auth.serverAddress) !== hostOf(domain)) {
    return { kind: "anonymous" };
  }
  if (auth.registryToken) return { kind: "registry", token: auth.registryToken };
  if (auth.identityToken) return { kind: "identity", token: auth.identityToken };
  if (auth.username) {
    return { kind: "password", username: auth.username, password: auth.password ?? "" };
  }
  return auth.auth ? decode(auth.auth) : { kind: "anonymous" };
}

/** `Basic …` for a header. */
export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function decode(auth: string): Credentials {
  // Some clients pad the decoded text with NULs.
  const text = Buffer.from(auth, "base64").toString("utf8").replace(/\0+$/, "");
  const colon = text.indexOf(":");
  if (colon < 0) {
    throw fault("INVALID_ARGUMENT", "registry credentials are not base64 of user:password");
  }
  return { kind: "password", username: text.slice(0, colon), password: text.slice(colon + 1) };
}

const dockerHub = ["docker.io", "index.docker.io", "registry-1.docker.io"];

function hostOf(address: string): string {
  const host = address
    .replace(/^[a-z]+:\/\//i, "")
    .replace(/\/.*$/, "")
    .toLowerCase();
  return dockerHub.includes(host) ? "docker.io" : host;
}
