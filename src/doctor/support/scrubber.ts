// SPDX-License-Identifier: Apache-2.0

const hidden = "(left out)";
/** Shorter ones are words of other texts, too. */
const shortestKnown = 4;

/** What tells a secret by its surroundings, whoever wrote it. */
const patterns: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]{0,20000}?-----END [A-Z ]*PRIVATE KEY-----/g, hidden],
  // A user with its password, or a token alone, before a host.
  [/([a-z][a-z0-9+.-]{0,20}:\/\/)[^/\s"'@]{1,4096}@/gi, `$1${hidden}@`],
  [/\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi, `$1 ${hidden}`],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, hidden],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, hidden],
  [
    /((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|authorization|cookie)[\w-]{0,40}["']?\s{0,4}[=:]\s{0,4})("(?:[^"\\\n]|\\.){0,8192}"|'[^'\n]{0,8192}'|[^\s,;"'}\]]{1,8192})/gi,
    `$1"${hidden}"`,
  ],
];

/** Takes secrets out of texts: those that are known, and what looks like one. */
export class Scrubber {
  readonly #known = new Set<string>();

  /** A value that must not be in any text. */
  hide(secret: string): void {
    if (secret.length < shortestKnown) return;
    this.#known.add(secret);
    const bytes = Buffer.from(secret);
    for (const form of [bytes.toString("base64"), encodeURIComponent(secret)])
      this.#known.add(form);
    this.#known.add(JSON.stringify(secret).slice(1, -1));
  }

  /** User and password of a URL, as in a proxy's. */
  hideLoginOf(address: string): void {
    const url = URL.parse(/:\/\//.test(address) ? address : `http://${address}`);
    if (url === null) return;
    for (const part of [url.username, url.password]) {
      this.hide(part);
      this.hide(decoded(part));
    }
    if (url.username !== "") this.hide(`${decoded(url.username)}:${decoded(url.password)}`);
  }

  clean(text: string): string {
    let cleaned = text;
    // The longest first: one may be a part of another.
    for (const secret of [...this.#known].toSorted((a, b) => b.length - a.length))
      cleaned = cleaned.replaceAll(secret, hidden);
    for (const [pattern, instead] of patterns) cleaned = cleaned.replaceAll(pattern, instead);
    return cleaned;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
