// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { fault } from "../base/errors.ts";
import type { Digest } from "./ports.ts";

/** The algorithms of digests, with the length of their hex digits; nearly all images have sha256 alone. */
const algorithms = { sha256: 64, sha384: 96, sha512: 128 } as const;

export type DigestAlgorithm = keyof typeof algorithms;

export const digestAlgorithms = Object.keys(algorithms) as readonly DigestAlgorithm[];

const pattern = new RegExp(
  `^(?:${Object.entries(algorithms)
    .map(([name, digits]) => `${name}:[0-9a-f]{${digits}}`)
    .join("|")})$`,
);

/** True for an algorithm that we know, a colon, and as many lower-case hex digits as it has. */
export function isDigest(text: string): text is Digest {
  return pattern.test(text);
}

/** The text as a digest; INVALID_ARGUMENT when it is none. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw fault("INVALID_ARGUMENT", `"${text}" is ${digestProblem(text)}`);
  return text;
}

/** What is wrong with a text that is no digest, a clause without its verb. */
export function digestProblem(text: string): string {
  const [algorithm] = /^[a-z][a-z0-9+._-]{0,31}(?=:[A-Za-z0-9=_-]+$)/.exec(text) ?? [];
  const isOther = algorithm !== undefined && !(algorithm in algorithms);
  const known = digestAlgorithms.slice(1).join(", ");
  return `not a sha256 digest${isOther ? ` but one of ${algorithm}, which is not read (${known} are)` : ""}`;
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(":")) as DigestAlgorithm;
}

/** The hex digits alone: the blob's file name. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}

/** The digest of bytes at hand. */
export function digestOf(bytes: Uint8Array | string, algorithm?: DigestAlgorithm): Digest {
  return new RunningDigest(algorithm).update(bytes).digest();
}

/** A running hash that can be asked for the digest so far, and goes on. */
export class RunningDigest {
  readonly algorithm: DigestAlgorithm;
  readonly #hash;

  constructor(algorithm: DigestAlgorithm = "sha256") {
    this.algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  update(bytes: Uint8Array | string): this {
    this.#hash.update(bytes);
    return this;
  }

  digest(): Digest {
    return `${this.algorithm}:${this.#hash.copy().digest("hex")}` as Digest;
  }
}
