// SPDX-License-Identifier: Apache-2.0

/** A request's header fields. Names are in small letters; what came twice is joined by commas, as HTTP has it. */
export interface RequestHeaders {
  readonly path: string;
  get(name: string): string | undefined;
  /** All of them but HTTP/2's own, which begin with a colon. */
  entries(): Iterable<readonly [name: string, value: string]>;
}

/** Undefined for a request that HTTP/2 calls malformed. */
export function requestHeaders(fields: readonly string[]): RequestHeaders | undefined {
  const own: Record<string, string> = {};
  let at = 0;
  for (; at < fields.length && fields[at]?.startsWith(":"); at += 2) {
    const name = fields[at] ?? "";
    if (!ownNames.has(name) || name in own) return undefined;
    own[name] = fields[at + 1] ?? "";
  }
  const { ":method": method, ":scheme": scheme, ":path": path } = own;
  if (!method || !scheme || !path?.startsWith("/")) return undefined;
  const rest = fields.slice(at);
  if (!areWellFormed(rest)) return undefined;
  return new Headers(path, rest);
}

const ownNames = new Set([":method", ":scheme", ":path", ":authority"]);
/** What HTTP/1.1 tells of a connection has no place here. */
const connectionNames = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** Trailers are held to the same. */
export function areWellFormed(fields: readonly string[]): boolean {
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    if (!isName.test(name) || connectionNames.has(name) || notInValue.test(value)) return false;
    if (name === "te" && value !== "trailers") return false;
  }
  return true;
}

const isName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for
const notInValue = /[\0\r\n]/;

class Headers implements RequestHeaders {
  readonly path: string;
  readonly #fields: readonly string[];

  constructor(path: string, fields: readonly string[]) {
    this.path = path;
    this.#fields = fields;
  }

  get(name: string): string | undefined {
    let found: string | undefined;
    for (let at = 0; at < this.#fields.length; at += 2) {
      if (this.#fields[at] !== name) continue;
      const value = this.#fields[at + 1] ?? "";
      found = found === undefined ? value : `${found}, ${value}`;
    }
    return found;
  }

  *entries(): Iterable<readonly [string, string]> {
    const names = new Set(this.#fields.filter((_, at) => at % 2 === 0));
    for (const name of names) yield [name, this.get(name) ?? ""];
  }
}
