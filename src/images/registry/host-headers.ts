// SPDX-License-Identifier: Apache-2.0
import { isSameServer } from "./same-server.ts";

/** Headers that an operator has set for a host, by their names in lower case. */
export type HostHeaders = Readonly<Record<string, string>>;

/** What a request says of itself: Go's clients pass these over in a hosts.toml. */
const ofRequests: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "trailer",
]);
/** A shorter one is no secret, but part of many words. */
const shortestSecret = 8;

/** The headers of a hosts.toml, several values of one in one line. */
export function hostHeaders(table: Readonly<Record<string, string | string[]>> = {}): HostHeaders {
  const all = Object.entries(table).map(([name, value]) => [
    name.toLowerCase(),
    Array.isArray(value) ? value.join(", ") : value,
  ]);
  const kept = all.filter(([name = ""]) => !ofRequests.has(name));
  return Object.fromEntries(kept) as Record<string, string>;
}

/**
 * What of a host's headers goes to the server of its tokens: all where that is the host itself, else the login alone,
 * which is for the host and whom it names for logins. Nothing goes from TLS to plain http.
 */
export function headersForTokens(headers: HostHeaders, origin: URL, realm: URL): HostHeaders {
  if (isSameServer(origin, realm)) return headers;
  if (origin.protocol === "https:" && realm.protocol === "http:") return {};
  const { authorization } = headers;
  return authorization === undefined ? {} : { authorization };
}

/** What no error may quote. */
export function secretsIn(headers: HostHeaders): string[] {
  const values = Object.values(headers);
  const parts = values.flatMap((value) => [value, value.split(" ").at(-1) ?? ""]);
  return parts.filter((part) => part.length >= shortestSecret);
}
