// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { fault } from "../base/errors.ts";
import type { Digest } from "./ports.ts";

const pattern = /^sha256:[0-9a-f]{64}$/;

/** True for `sha256:` and 64 lower-case hex digits: the one algorithm that images use in practice. */
export function isDigest(text: string): text is Digest {
  return pattern.test(text);
}

/** The text as a digest; INVALID_ARGUMENT when it is none. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw fault("INVALID_ARGUMENT", `"${text}" is not a sha256 digest`);
  return text;
}

/** The hex digits alone: the blob's file name. */
export function hexOf(digest: Digest): string {
  return digest.slice("sha256:".length);
}

/** The digest of bytes at hand. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return new Sha256().update(bytes).digest();
}

/** A running sha256 that can be asked for the digest so far, and goes on. */
export class Sha256 {
  readonly #hash = createHash("sha256");

  update(bytes: Uint8Array | string): this {
    this.#hash.update(bytes);
    return this;
  }

  digest(): Digest {
    return `sha256:${this.#hash.copy().digest("hex")}` as Digest;
  }
}
