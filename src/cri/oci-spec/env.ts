// SPDX-License-Identifier: Apache-2.0

import { invalid } from "../../base/invalid-field.ts";
import type { KeyValue } from "../../gen/cri.gen.ts";

export const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** An environment in order; setting a name that is there replaces it where it stands. */
export class Environment {
  readonly #entries = new Map<string, string>();

  constructor(initial: readonly string[] = []) {
    for (const entry of initial) this.add(entry);
  }

  /** `NAME=value`; without `=` the value is empty. Empty names, which some images carry, are dropped. */
  add(entry: string): void {
    const at = entry.indexOf("=");
    const name = at < 0 ? entry : entry.slice(0, at);
    if (name !== "") this.#entries.set(name, at < 0 ? "" : entry.slice(at + 1));
  }

  set(name: string, value: string): void {
    this.#entries.set(name, value);
  }

  toArray(): string[] {
    return Array.from(this.#entries, ([name, value]) => `${name}=${value}`);
  }
}

/**
 * Adds the request's variables. Values are bytes on the wire, but config.json is JSON: what is no
 * UTF-8 becomes U+FFFD there, in every runtime that goes through an OCI spec.
 */
export function addRequestedEnv(env: Environment, requested: readonly KeyValue[]): void {
  for (const [index, { key, value }] of requested.entries()) {
    if (key === "" || key.includes("=") || key.includes("\0")) {
      throw invalid(`envs[${index}].key`, `"${key}" is no name of a variable`);
    }
    const text = Buffer.from(value).toString("utf8");
    if (text.includes("\0")) throw invalid(`envs[${index}].value`, "holds a NUL byte");
    env.set(key, text);
  }
}
