// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { sandboxRuntimeName } from "../oci/sandbox-runtime-name.ts";
import type { PlatformRuntime, RecoveryReport, Reservation, RuntimeTask } from "./ports.ts";

/** Shims and sandbox processes as one runtime: a new task has the one that its container's runtime name says. */
export class Runtimes implements PlatformRuntime, AsyncDisposable {
  readonly #shims: PlatformRuntime & AsyncDisposable;
  readonly #sandboxes: PlatformRuntime & Disposable;

  /** Both are disposed with it. */
  constructor(shims: PlatformRuntime & AsyncDisposable, sandboxes: PlatformRuntime & Disposable) {
    this.#shims = shims;
    this.#sandboxes = sandboxes;
  }

  get(namespace: string, id: string): RuntimeTask | undefined {
    return this.#shims.get(namespace, id) ?? this.#sandboxes.get(namespace, id);
  }

  late(namespace: string, id: string): Promise<void> | undefined {
    return this.#shims.late(namespace, id);
  }

  list(namespace?: string): readonly RuntimeTask[] {
    return [...this.#shims.list(namespace), ...this.#sandboxes.list(namespace)];
  }

  reserve(namespace: string, id: string): Reservation {
    using owned = new DisposableStack();
    const inShims = owned.use(this.#shims.reserve(namespace, id));
    const inSandboxes = owned.use(this.#sandboxes.reserve(namespace, id));
    const both = owned.move();
    return {
      create: (options, call) =>
        (options.runtime === sandboxRuntimeName ? inSandboxes : inShims).create(options, call),
      [Symbol.dispose]: () => both.dispose(),
    };
  }

  /** Shims first: then it is known which of them are there for the containers of sandbox processes. */
  async recover(call: Cancellable): Promise<RecoveryReport> {
    const shims = await this.#shims.recover(call);
    const sandboxes = await this.#sandboxes.recover(call);
    return {
      recovered: [...shims.recovered, ...sandboxes.recovered],
      lost: [...shims.lost, ...sandboxes.lost],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sandboxes[Symbol.dispose]();
    await this.#shims[Symbol.asyncDispose]();
  }
}
