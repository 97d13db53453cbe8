// SPDX-License-Identifier: Apache-2.0
import { nowNanos } from "../base/now.ts";
import type { IntrospectionDeprecationWarningInit } from "../gen/introspection.gen.ts";
import { timestampOf } from "../rpc/timestamp.ts";

interface Deprecated {
  /** containerd's name for the warning, by which tools know it. */
  readonly id: string;
  readonly message: string;
}

const advice = "make containers with io.containerd.runc.v2";
const runtimeV1: Deprecated = {
  id: "io.containerd.deprecation/runtime-v1",
  message: `runtimes named io.containerd.runtime.v1.* are gone since containerd 2.0: ${advice}`,
};
const runcV1: Deprecated = {
  id: "io.containerd.deprecation/runtime-runc-v1",
  message: `runtime io.containerd.runc.v1 is deprecated, its shim is gone since containerd 2.0: ${advice}`,
};

/** The deprecated things that clients have used; `ctr` prints a warning of each before every command. */
export class Deprecations {
  readonly #seen = new Map<Deprecated, bigint>();

  /** Notes the use of a runtime; nothing happens for one that is not deprecated. */
  useRuntime(name: string): void {
    if (name.startsWith("io.containerd.runtime.v1.")) this.#seen.set(runtimeV1, nowNanos());
    else if (name === "io.containerd.runc.v1") this.#seen.set(runcV1, nowNanos());
  }

  list(): IntrospectionDeprecationWarningInit[] {
    return [...this.#seen].map(([{ id, message }, at]) => ({
      id,
      message,
      lastOccurrence: timestampOf(at),
    }));
  }
}
